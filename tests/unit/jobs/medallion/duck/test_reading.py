"""One file, read whole before anything of it counts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import fs

from headrace.quarantine import Envelope, envelope, from_jsonl_gz
from jobs.medallion.duck.files import Files
from jobs.medallion.duck.letters import Letters
from jobs.medallion.duck.portion import Portion, UnreadableFileError
from jobs.medallion.duck.reading import Fetched, Reader
from jobs.medallion.model import Source, SourceFile, ToRead
from tests.unit.jobs.medallion.duck.silver_world import event, table

FILE = SourceFile(source=Source.RAW, key="raw/events/x.jsonl.gz", etag="", size=1)


def letter(number: int) -> Envelope:
    return envelope(b"x" * 100, reason="malformed", detail="", stage="t", position=str(number), seen_at=0.0)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setattr("jobs.medallion.duck.reading.HELD_BYTES", 500)
    monkeypatch.setattr("jobs.medallion.duck.letters.LETTERS", 3)
    (tmp_path / "lake").mkdir()
    return Files(fs.LocalFileSystem(), str(tmp_path / "lake"), tmp_path / "scratch")


def reader(files: Files, *, fails: bool) -> Reader:
    def decode(file: SourceFile, path: Path) -> Iterator[Portion]:
        for number in range(10):
            yield Portion(rows=table([event(number)]), rejected=[letter(number)])
        if fails:
            raise UnreadableFileError("cut off")

    return Reader(files=files, decode=decode, on_rows=lambda rows: None, check=lambda: None, seen_at=0.0)


def fetched(files: Files) -> Fetched:
    path = files.scratch / "1.jsonl.gz"
    path.parent.mkdir()
    path.write_bytes(b"")
    return Fetched(asked=ToRead(file=FILE), path=path)


def test_rows_and_letters_beyond_what_memory_holds_wait_in_scratch_and_keep_their_order(files: Files) -> None:
    read = reader(files, fails=False).read(fetched(files))
    assert len(list(files.scratch.iterdir())) == 2, "rows and letters"
    (spool,) = read.days.values()
    ids = [name for rows in spool.drain() for name in rows.column("event_id").to_pylist()]
    assert ids == [f"e-{number}" for number in range(10)]
    assert [one.position for one in read.letters.drain()] == [str(number) for number in range(10)]
    assert list(files.scratch.iterdir()) == []


def test_nothing_of_a_file_that_fails_at_its_end_stays(files: Files) -> None:
    read = reader(files, fails=True).read(fetched(files))
    assert (read.days, read.report.rows, read.report.rejected, read.report.error) == ({}, 0, 0, "cut off")
    assert [(one.reason, one.position) for one in read.letters.drain()] == [("unreadable_file", FILE.key)]
    assert list(files.scratch.iterdir()) == []


def test_objects_of_dead_letters_are_of_bounded_size(files: Files, tmp_path: Path) -> None:
    letters = Letters(files, lambda number: f"dead/{number}")
    letters.add(map(letter, range(7)))
    letters.write()
    written = [from_jsonl_gz((tmp_path / "lake" / key).read_bytes()) for key in letters.keys]
    assert [[one.position for one in some] for some in written] == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
