"""Aggregates of the Kinesis Producer Library: there and back, against AWS' package, and what is none."""

import hashlib
import random
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.stream import batcher, kpl
from headrace.stream.aggregate import bundle
from headrace.stream.kpl import MAGIC, MAX_SUB_RECORDS, decode, encode, hash_key
from headrace.stream.ports import HASH_KEYS, MAX_RECORD_BYTES, Entry, Shard, ShardId
from tests.unit.stream import reference_kpl
from tests.unit.stream.reference_kpl import aggregate, deaggregate, parse

keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
hash_keys = st.integers(0, HASH_KEYS - 1).map(str)
entries = st.lists(st.builds(Entry, st.binary(max_size=300), keys, st.none() | hash_keys), min_size=1, max_size=40)
SHARD = Shard(shard_id=ShardId("shardId-000000000000"))
GOOD = encode([Entry(b"one", "k"), Entry(b"two", "other"), Entry(b"", "k")])


def sealed(message: bytes) -> bytes:
    return MAGIC + message + hashlib.md5(message).digest()


def number(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes((value & 0x7F | 0x80,))
        value >>= 7
    return out + bytes((value,))


def text(field: int, payload: bytes) -> bytes:
    return number(field << 3 | 2) + number(len(payload)) + payload


def sub(message: bytes) -> bytes:
    return text(3, message)


KEY = text(1, b"k")


@given(entries)
@example([Entry(b"x" * 200_000, "k" * 256), Entry(b"", "é"), Entry(b"{}", "k" * 256)])
@example([Entry(b"x", f"key {n}") for n in range(300)])
def test_what_was_put_in_comes_out_in_its_order(given_entries: list[Entry]) -> None:
    assert decode(encode(given_entries)) == given_entries


@given(entries)
def test_the_size_that_is_told_beforehand_is_never_passed_and_close(given_entries: list[Entry]) -> None:
    told, known = kpl.EMPTY_BYTES, set[str]()
    for entry in given_entries:
        told += kpl.encoded_bytes(entry, known_key=entry.partition_key in known)
        known.add(entry.partition_key)
    assert told - 80 * len(given_entries) <= len(encode(given_entries)) <= told


@given(entries)
@example([Entry(b"x" * 70_000, f"key {n}") for n in range(10)])
@example([Entry(b"x", f"key {n}") for n in range(300)])
def test_aws_package_reads_what_we_write(given_entries: list[Entry]) -> None:
    expected = [(data, key, at) for at, (data, key, _) in enumerate(given_entries)]
    assert deaggregate(encode(given_entries)) == expected


@given(entries)
@example([Entry(b"x", f"key {n}", str(n)) for n in range(300)])
@example([Entry(b"x", "k", str(HASH_KEYS - 1)), Entry(b"x" * 70_000, "k")])
def test_we_read_what_aws_package_writes(records: list[Entry]) -> None:
    assert decode(aggregate(records)) == records


@settings(max_examples=25)
@given(st.lists(st.builds(Entry, st.binary(max_size=30), keys, hash_keys), min_size=1, max_size=40))
def test_aws_package_finds_the_hash_keys_that_we_write(given_entries: list[Entry]) -> None:
    assert reference_kpl.hash_keys(encode(given_entries)) == [entry.explicit_hash_key for entry in given_entries]


@pytest.mark.parametrize("size", [500, 100_000], ids=lambda size: f"of {size} bytes")
def test_the_largest_aggregates_are_read_on_both_sides(size: int) -> None:
    entry = Entry(b"x" * size, "key", str(HASH_KEYS - 1))
    theirs, count = reference_kpl.fill(entry)
    assert decode(theirs) == [entry] * count
    [ours, *_] = bundle([entry] * (count + 1), lambda _: SHARD, max_bytes=MAX_RECORD_BYTES)
    assert MAX_RECORD_BYTES * 0.9 < batcher.entry_bytes(ours.record) <= MAX_RECORD_BYTES
    assert deaggregate(ours.record.data) == [(entry.data, "key", at) for at in range(len(ours.entries))]


@given(entries, st.data())
def test_an_aggregate_that_is_damaged_anywhere_is_an_ordinary_record(
    given_entries: list[Entry], data: st.DataObject
) -> None:
    whole = encode(given_entries)
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytes((whole[at] ^ data.draw(st.integers(1, 255)),))
    assert decode(whole[:at] + flipped + whole[at + 1 :]) is None
    assert decode(whole[:at]) is None
    assert decode(whole + flipped) is None


@given(st.binary(max_size=200))
def test_any_message_with_a_good_checksum_is_an_aggregate_or_an_ordinary_record(message: bytes) -> None:
    found = decode(sealed(message))
    assert found is None or sum(len(each.data) for each in found) <= len(message)


@given(st.integers(0, 2**32))
def test_what_is_read_of_a_changed_message_is_what_protobuf_reads_of_it(seed: int) -> None:
    luck = random.Random(seed)
    message = bytearray(GOOD[4:-16])
    for _ in range(luck.randint(1, 4)):
        message[luck.randrange(len(message))] = luck.choice([luck.randrange(256), luck.randrange(32)])
    found = decode(sealed(bytes(message)))
    assert found is None or [(data, key) for data, key, _ in found] == parse(bytes(message))


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(KEY[:-1], id="a text that is longer than what is left"),
        pytest.param(KEY + b"\x1a", id="a field without a length"),
        pytest.param(KEY + b"\x9a", id="a tag that does not end"),
        pytest.param(KEY + b"\x1a" + b"\xff" * 9 + b"\x01", id="a length of 64 bits"),
        pytest.param(KEY + b"\x1a" + b"\xff" * 30, id="a length that does not end"),
        pytest.param(KEY + b"\x1a" + b"\x80" * 9 + b"\x7f", id="a length past 64 bits"),
        pytest.param(KEY + b"\x1b\x1c", id="a group"),
        pytest.param(KEY + b"\x02\x00", id="a field with the number 0"),
        pytest.param(KEY + b"\x21\x00", id="a fixed number that is cut off"),
        pytest.param(KEY + sub(b"\x08\x00"), id="a record without data"),
        pytest.param(KEY + sub(text(3, b"x")), id="a record without a key"),
        pytest.param(KEY + sub(b"\x08\x01" + text(3, b"x")), id="a key that is not in the table"),
        pytest.param(KEY + sub(b"\x08" + b"\xff" * 9 + b"\x01" + text(3, b"x")), id="a key index of 64 bits"),
        pytest.param(KEY + sub(b"\x08\x00\x10\x00" + text(3, b"x")), id="a hash key that is not in the table"),
        pytest.param(KEY + sub(b"\x08\x00\x1a\x05x"), id="data that is longer than its record"),
        pytest.param(KEY + sub(b"\x08\x00\x1a"), id="a record that is cut off"),
        pytest.param(text(1, b"\xff") + sub(b"\x08\x00" + text(3, b"x")), id="a key that is no UTF-8"),
        pytest.param(KEY + text(2, str(HASH_KEYS).encode()), id="a hash key past the last"),
        pytest.param(KEY + text(2, b"-1"), id="a negative hash key"),
        pytest.param(KEY + text(2, b""), id="an empty hash key"),
        pytest.param(KEY + text(2, b"9" * 100_000), id="a hash key of 100,000 digits"),
        pytest.param(KEY + sub(b"\x08\x00\x1a\x00") * (MAX_SUB_RECORDS + 1), id="more records than may be"),
    ],
)
def test_what_is_no_whole_message_is_an_ordinary_record(message: bytes) -> None:
    assert decode(sealed(message)) is None


@pytest.mark.parametrize(
    "data",
    [b"", MAGIC, MAGIC[:3], MAGIC + bytes(16), sealed(b""), b"\x00" + GOOD, GOOD[1:], b"{}"],
    ids=["empty", "magic alone", "half of it", "no message", "empty message", "shifted", "beheaded", "JSON"],
)
def test_what_is_too_short_or_has_no_magic_number_is_an_ordinary_record(data: bytes) -> None:
    assert decode(data) is None
    assert deaggregate(data) is None


def test_fields_that_are_not_known_are_passed_over() -> None:
    tag = text(4, text(1, b"tag") + text(2, b"value"))
    later = b"\x28\x07" + b"\x31" + bytes(8) + b"\x3d" + bytes(4) + text(9, b"later")
    message = later + KEY + sub(later + b"\x08\x00" + text(3, b"x") + tag) + later
    assert decode(sealed(message)) == [Entry(b"x", "k")]
    assert deaggregate(sealed(message)) == [(b"x", "k", 0)]


def test_a_known_number_of_another_kind_is_not_known() -> None:
    message = b"\x08\x05" + KEY + b"\x18\x05" + sub(text(1, b"x") + b"\x08\x00" + text(3, b"x") + b"\x18\x01")
    assert decode(sealed(message)) == [Entry(b"x", "k")]
    assert deaggregate(sealed(message)) == [(b"x", "k", 0)]


def test_of_a_field_that_comes_twice_the_last_one_counts() -> None:
    message = KEY + text(1, b"l") + sub(b"\x08\x00" + text(3, b"x") + b"\x08\x01" + text(3, b"y"))
    assert decode(sealed(message)) == [Entry(b"y", "l")]
    assert deaggregate(sealed(message)) == [(b"y", "l", 0)]


def test_the_table_of_keys_may_come_last() -> None:
    assert decode(sealed(sub(b"\x08\x00" + text(3, b"x")) + KEY)) == [Entry(b"x", "k")]


def test_keys_in_the_tables_that_no_record_names_are_passed_over() -> None:
    tables = text(1, b"unused") + KEY + text(1, b"unused too") + text(2, b"1") + text(2, b"2") + text(2, b"3")
    message = tables + sub(b"\x08\x01\x10\x01" + text(3, b"x"))
    assert decode(sealed(message)) == [Entry(b"x", "k", "2")]
    assert (deaggregate(sealed(message)), reference_kpl.hash_keys(sealed(message))) == ([(b"x", "k", 0)], ["2"])


def test_an_aggregate_of_nothing_is_nothing() -> None:
    assert decode(sealed(KEY)) == []


def test_an_aggregate_within_an_aggregate_is_data() -> None:
    assert decode(encode([Entry(GOOD, "k")])) == [Entry(GOOD, "k")]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(KEY + sub(b"\x08\x00\x1a\x00") * 20_000, id="many small records"),
        pytest.param(KEY + sub(b"\x08\x00" * 60_000 + text(3, b"x")), id="many fields in a record"),
        pytest.param(KEY + b"\x28\x00" * 60_000, id="many fields"),
        pytest.param(text(1, b"k" * 100_000) + sub(b"\x08\x00\x1a\x00") * 1_000, id="a large key of many records"),
    ],
)
def test_what_a_record_takes_while_it_is_read_is_bounded_by_its_size(message: bytes) -> None:
    bomb = sealed(message)
    tracemalloc.start()
    try:
        assert decode(bomb) is not None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50 * len(bomb)


def test_hash_keys_are_those_of_kinesis() -> None:
    assert hash_key(Entry(b"", "key")) == int("3c6e0b8a9c15224a8228b9a98ca1531d", 16)
    assert hash_key(Entry(b"", "key", "17")) == 17
