"""What a bucket notification says: message body → partitions. Pure, and safe for whatever stands in a queue."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from headrace.lake.layout import EVENTS, HourPartition, from_notification, partition_of

T = TypeVar("T")


class Result(StrEnum):
    """What became of a notified object, or of a message that names none."""

    REGISTERED = "registered"
    KNOWN = "known"
    IGNORED = "ignored"
    """Not an object of the table, or not a new one."""
    INVALID = "invalid"
    """Below `events/`, but not in a folder that we would have written: no value of such a key comes near SQL."""
    TEST = "test"
    """What S3 sends when notifications are switched on."""
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message, read."""

    partitions: tuple[HourPartition, ...] = ()
    """Of each new object of the table, repeats included."""
    others: Mapping[Result, int] = field(default_factory=dict)
    """What else it named, counted."""
    problem: str = ""
    """What is wrong with the first malformed part."""
    invalid: str = ""
    """The first invalid key."""


class _Message(msgspec.Struct):
    records: list[msgspec.Raw] | None = msgspec.field(name="Records", default=None)
    event: str = msgspec.field(name="Event", default="")


class _Object(msgspec.Struct):
    key: str


class _S3(msgspec.Struct):
    object: _Object


class _Record(msgspec.Struct):
    s3: _S3
    event: str = msgspec.field(name="eventName")


_MESSAGE = msgspec.json.Decoder(_Message)
_RECORD = msgspec.json.Decoder(_Record)


def partitions_of_message(body: str) -> Notice:
    """The partitions that a message's new objects belong to. Never raises: what cannot be read is `MALFORMED`."""
    try:
        message = _MESSAGE.decode(body)
    except _UNREADABLE as error:
        return _malformed(error)
    if message.records is None:
        return Notice(others={Result.TEST: 1}) if message.event == "s3:TestEvent" else _malformed("no records")
    partitions: list[HourPartition] = []
    others: Counter[Result] = Counter()
    problem = invalid = ""
    for raw in message.records:
        try:
            record = _RECORD.decode(raw)
        except _UNREADABLE as error:
            others[Result.MALFORMED] += 1
            problem = problem or str(error)
            continue
        key = from_notification(record.s3.object.key)
        partition = partition_of(key)
        if not record.event.startswith("ObjectCreated:") or not key.startswith(f"{EVENTS}/") or key.endswith("/"):
            others[Result.IGNORED] += 1
        elif partition is None:
            others[Result.INVALID] += 1
            invalid = invalid or key
        else:
            partitions.append(partition)
    return Notice(partitions=tuple(partitions), others=others, problem=problem, invalid=invalid)


_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""Broken JSON or other types; lone surrogates; too deep."""


def _malformed(problem: Any) -> Notice:
    return Notice(others={Result.MALFORMED: 1}, problem=str(problem))
