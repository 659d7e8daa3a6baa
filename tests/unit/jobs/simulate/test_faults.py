import itertools
import json
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.events.schema import Event
from jobs.simulate.faults import SOME, FaultProfile, HttpFault, RecordFault
from jobs.simulate.shoppers import BLOCK_MS, Item
from jobs.simulate.timeline import Timeline

START_MS = 1_775_721_600_000
REQUIRED = {"session_id", "event_type", "timestamp"}


def traffic(faults: str, count: int = 4_000) -> list[Item]:
    timeline = Timeline(seed=7, rate=50, faults=FaultProfile.parse(faults))
    return list(itertools.islice(timeline.items(START_MS), count))


def classify(item: Item) -> RecordFault | None:
    """What is wrong with one item, judged from outside."""
    try:
        event: dict[str, Any] = json.loads(item.data)
    except ValueError:
        return RecordFault.MALFORMED
    if not event.keys() >= REQUIRED:
        return RecordFault.MISSING
    if not event.keys() <= set(Event.__struct_encode_fields__):
        return RecordFault.EXTRA
    if type(event["timestamp"]) is not int:
        return RecordFault.BAD_TIME
    if not is_valid(item.data):
        return RecordFault.WRONG_TYPE
    return classify_delay(item.at_ms - event["timestamp"])


def is_valid(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=Event)
    except msgspec.ValidationError:
        return False
    return True


def classify_delay(ms: int) -> RecordFault | None:
    if ms < -3_600_000:
        return RecordFault.FUTURE
    return RecordFault.LATE if ms > 300_000 else None


@pytest.mark.parametrize("fault", sorted(set(RecordFault) - {RecordFault.DUPLICATE}))
def test_a_fault_appears_in_the_share_that_was_asked_for_and_alone(fault: RecordFault) -> None:
    seen = Counter(classify(item) for item in traffic(f"{fault}=0.1"))
    assert set(seen) == {fault, None}
    assert seen[fault] / seen.total() == pytest.approx(0.1, rel=0.2)


def test_duplicates_are_equal_bytes_a_little_later() -> None:
    items = traffic("duplicate=0.1")
    copies = Counter(item.data for item in items)
    assert set(copies.values()) == {1, 2}
    assert (len(items) - len(copies)) / len(copies) == pytest.approx(0.1, rel=0.2)
    assert {classify(item) for item in items} == {None}


def test_without_faults_nothing_is_wrong() -> None:
    assert {classify(item) for item in traffic("none")} == {None}


def test_only_broken_items_are_marked_as_no_json() -> None:
    for item in traffic("some"):
        assert item.is_json is (classify(item) is not RecordFault.MALFORMED)


def test_faulty_traffic_is_still_in_order_and_the_same_each_time() -> None:
    items = traffic("some")
    assert [item.at_ms for item in items] == sorted(item.at_ms for item in items)
    assert items == traffic("some")


def test_a_block_keeps_its_items_when_some_are_late() -> None:
    calm = Timeline(seed=7, rate=50, faults=FaultProfile())
    late = Timeline(seed=7, rate=50, faults=FaultProfile.parse("late=1"))
    number = START_MS // BLOCK_MS
    assert [item[:2] for item in late.block(number)] == [item[:2] for item in calm.block(number)]


def test_some_has_every_fault() -> None:
    assert FaultProfile.parse("some").shares == SOME
    assert set(SOME) == {*RecordFault, *HttpFault}


@given(st.dictionaries(st.sampled_from([*RecordFault, *HttpFault]), st.floats(0, 0.08), min_size=1))
def test_shares_written_out_are_read_back(shares: dict[RecordFault | HttpFault, float]) -> None:
    assert FaultProfile.parse(", ".join(f"{name}={share}" for name, share in shares.items())).shares == shares


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("gremlins=0.1", "unknown fault 'gremlins'"),
        ("malformed", "malformed wants a share"),
        ("malformed=often", "malformed wants a share"),
        ("malformed=1.5", "malformed wants a share"),
        ("late=nan", "late wants a share"),
        ("late=0.6,extra=0.6", "more than 1"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_reason(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        FaultProfile.parse(text)
