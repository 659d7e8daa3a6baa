import gzip
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.simulate.faults import FaultProfile
from jobs.simulate.files import write_file
from jobs.simulate.shoppers import Item
from jobs.simulate.timeline import Timeline


def some_items(count: int = 500) -> list[Item]:
    timeline = Timeline(seed=7, rate=50, faults=FaultProfile())
    return list(itertools.islice(timeline.items(1_775_721_600_000), count))


def test_a_file_has_one_event_a_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    size = write_file(path, some_items())
    assert path.read_bytes().splitlines() == [item.data for item in some_items()]
    assert size == path.stat().st_size


def test_equal_events_make_equal_bytes_under_any_name(tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl.gz", tmp_path / "two.jsonl.gz"
    write_file(one, some_items())
    write_file(two, some_items())
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes()[4:8] == bytes(4)  # no time of writing in the header
    assert gzip.decompress(one.read_bytes()).splitlines() == [item.data for item in some_items()]


def test_an_interrupted_run_leaves_nothing_behind_and_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(b"old")

    def interrupted() -> Iterator[Item]:
        yield from some_items(10)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_file(path, interrupted())
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"x.jsonl.gz": b"old"}
