"""Objects of a bucket, copied, read in place and written."""

import errno
import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from headrace.errors import AccessError, HeadraceError, NotFoundError, StopError, UnavailableError
from jobs.medallion.duck.files import Files, Uploads, in_order, reaching

KEY = "_runs/medallion/0000000001-a/x.parquet"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    (tmp_path / "lake").mkdir()
    return Files(fs.LocalFileSystem(), str(tmp_path / "lake"), tmp_path / "scratch")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def test_a_compressed_object_is_copied_byte_by_byte(files: Files, tmp_path: Path) -> None:
    body = gzip.compress(b"{}\n" * 1_000)
    files.put("raw/events/a b/ü.jsonl.gz", body)
    assert (tmp_path / "lake/raw/events/a b/ü.jsonl.gz").read_bytes() == body
    assert files.fetch("raw/events/a b/ü.jsonl.gz", tmp_path / "copies/1").read_bytes() == body


def test_what_was_written_from_scratch_needs_no_fetching(files: Files, tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [1, 2]}), str(files.place(KEY)))
    files.upload(KEY)
    (tmp_path / "lake" / KEY).write_bytes(b"somebody's")
    assert files.parquet(KEY).read().column("n").to_pylist() == [1, 2]
    assert files.local(KEY) == files.place(KEY)


def test_what_another_process_wrote_is_read_in_place_or_copied(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "lake" / KEY
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"n": [3]}), str(path))
    assert files.parquet(KEY).read().column("n").to_pylist() == [3]
    assert not files.place(KEY).exists()
    assert files.local(KEY).read_bytes() == path.read_bytes()


def test_an_object_that_is_missing_or_no_parquet_is_named(files: Files, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=KEY):
        files.fetch(KEY, tmp_path / "copy")
    with pytest.raises(NotFoundError, match=KEY):
        files.parquet(KEY)
    files.put(KEY, b"no Parquet at all")
    with pytest.raises(StopError, match=KEY):
        files.parquet(KEY)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError("AWS Error ACCESS_DENIED during GetObject operation"), AccessError),
        (OSError("AWS Error UNKNOWN (HTTP status 403) during HeadObject operation"), AccessError),
        (PermissionError("no"), AccessError),
        (OSError("AWS Error NO_SUCH_BUCKET during CreateMultipartUpload operation"), NotFoundError),
        (OSError("AWS Error NETWORK_CONNECTION during UploadPart operation"), UnavailableError),
        (OSError(errno.ENOSPC, "No space left on device"), StopError),
    ],
)
def test_errors_of_arrow_become_ours_and_name_the_key(error: OSError, expected: type[HeadraceError]) -> None:
    with pytest.raises(expected, match="a/key") as caught, reaching("a/key"):
        raise error
    assert type(caught.value) is expected


def test_an_upload_that_fails_is_told_at_the_latest_by_waiting(files: Files) -> None:
    with closing(Uploads(files)) as uploads:
        uploads.start(KEY)  # there is no such copy
        with pytest.raises(NotFoundError, match=KEY):
            uploads.wait()


def test_an_object_that_nobody_wants_any_more_does_not_stay_in_scratch(files: Files) -> None:
    files.place(KEY).write_bytes(b"x")
    with closing(Uploads(files)) as uploads:
        uploads.start(KEY)
        uploads.drop(KEY)
        uploads.wait()
    assert not files.place(KEY).exists()


def test_results_come_in_order_and_no_more_is_begun_than_asked(pool: ThreadPoolExecutor) -> None:
    begun = 0
    second = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second.wait(10), "the second runs while the first does"
        second.set()
        return item

    def items() -> Iterator[int]:
        nonlocal begun
        for item in range(20):
            begun += 1
            yield item

    with closing(in_order(pool, work, items(), 3)) as results:
        assert next(results) == 0
        assert begun == 4
        assert list(results) == list(range(1, 20))


def test_what_is_not_asked_for_any_more_is_not_begun(pool: ThreadPoolExecutor) -> None:
    done: list[int] = []
    go_on = threading.Event()

    def work(item: int) -> None:
        if item:
            assert go_on.wait(10)
        done.append(item)

    with closing(in_order(pool, work, range(20), 8)) as results:
        next(results)
    go_on.set()
    pool.shutdown()
    assert len(done) <= 3, "the first, and the two that were under way"
