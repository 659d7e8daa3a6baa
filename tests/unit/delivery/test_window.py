"""The de-duplication window, by arrival of the records."""

import pyarrow as pa
import pytest

from headrace.delivery import window as module
from headrace.delivery.window import DedupWindow, from_bytes, hashes_of, to_bytes


def ids(*names: str) -> pa.ChunkedArray:
    return pa.chunked_array([list(names)], pa.string())


def test_ids_of_earlier_batches_and_of_this_one_are_repeats() -> None:
    window = DedupWindow(10.0)
    assert not window.repeats(ids("a", "b"), 0.0)
    window.remember(hashes_of(ids("a", "b")), 0.0)
    assert window.repeats(ids("c", "b", "c", "d"), 1.0) == {1, 2}
    assert not window.repeats(ids("c", "d"), 1.0)


def test_what_arrived_longer_ago_than_the_window_is_no_repeat_even_while_it_is_remembered() -> None:
    window = DedupWindow(10.0)
    window.remember(hashes_of(ids("a")), 0.0)
    window.remember(hashes_of(ids("b")), 9.0)
    assert window.repeats(ids("a", "b"), 9.9) == {0, 1}
    assert window.repeats(ids("a", "b"), 10.0) == {1}


def test_what_is_out_of_the_window_is_forgotten() -> None:
    window = DedupWindow(10.0)
    window.remember(hashes_of(ids("a")), 0.0)
    window.remember(hashes_of(ids("b")), 10.0)
    assert window.repeats(ids("a", "b"), 5.0) == {1}


def test_a_window_of_no_time_knows_no_repeats() -> None:
    window = DedupWindow(0.0)
    window.remember(hashes_of(ids("a")), 0.0)
    assert not window.repeats(ids("a", "a"), 0.0)


def test_past_its_limit_the_oldest_batch_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDS_LIMIT", 3)
    window = DedupWindow(10.0)
    window.remember(hashes_of(ids("a", "b")), 0.0)
    window.remember(hashes_of(ids("c", "d")), 1.0)
    assert window.repeats(ids("a", "c"), 1.0) == {1}


def test_hashes_come_back_from_their_bytes() -> None:
    hashes = hashes_of(ids("a", "\u00e9", ""))
    assert from_bytes(to_bytes(hashes)).equals(hashes)
    assert from_bytes(b"").equals(hashes_of(ids()))


def test_the_hash_of_an_id_never_changes() -> None:
    # Manifests of another version of Headrace hold them.
    assert hashes_of(ids("e-1")).to_pylist() == [0x3D21BC8729ACD985]
