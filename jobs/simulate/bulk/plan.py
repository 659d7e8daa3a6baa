"""What a run is to make: how many events of which minutes, cut into files. Pure."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from random import Random

from headrace.lake.layout import raw_object

LEAST_EVENTS, MOST_EVENTS = 500_000, 750_000
"""Of a run that is not told how many."""
MINUTES = 5
FILE_EVENTS = 100_000
"""A minute with more is cut into several files: what is in memory at one time is a few files."""
MOST_FILE_EVENTS = 250_000
MOST_FILES_PER_MINUTE = 60
_MINUTE_MS = 60_000
_VERSION = 1
"""Of what a seed makes. Raised when that changes, so that other bytes get other keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The events of one file: those handed out from `start_ms` to before `end_ms` (since 1970 UTC)."""

    number: int
    start_ms: int
    end_ms: int
    events: int
    object_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaws:
    """What is wrong with the events, as shares of them."""

    bad_lines: float = 0.0
    """So many lines more that are no events."""
    duplicates: float = 0.0
    """So many lines more that repeat an event, up to two minutes after it."""
    late: float = 0.0
    """Of visits handed out 10 minutes to 26 hours after they took place."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run. `flaws` change and add lines, and nothing about the other events."""

    seed: int
    events: int
    end: datetime
    """The first moment after the window: a whole minute."""
    minutes: int
    files_per_minute: int
    flaws: Flaws = Flaws()

    @property
    def start_ms(self) -> int:
        """Where the window begins, in ms since 1970 UTC."""
        return self.end_ms - self.minutes * _MINUTE_MS

    @property
    def end_ms(self) -> int:
        """Where the window ends, in ms since 1970 UTC."""
        return int(self.end.timestamp()) * 1000

    @property
    def start(self) -> datetime:
        """Where the window begins."""
        return self.end - timedelta(minutes=self.minutes)

    @cached_property
    def key(self) -> int:
        """64 bits that stand for the run: another seed, window or count makes other visits, and other objects."""
        told = f"{_VERSION}/{self.seed}/{self.events}/{self.end_ms}/{self.minutes}/{self.files_per_minute}"
        return int.from_bytes(hashlib.sha256(told.encode()).digest()[:8], "big")

    def slices(self) -> Iterator[Slice]:
        """The files in order of time, with equal shares of the events; a share may be none."""
        count = self.minutes * self.files_per_minute
        for number in range(count):
            minute, part = divmod(number, self.files_per_minute)
            start_ms = self.start_ms + minute * _MINUTE_MS
            yield Slice(
                number=number,
                start_ms=start_ms + part * _MINUTE_MS // self.files_per_minute,
                end_ms=start_ms + (part + 1) * _MINUTE_MS // self.files_per_minute,
                events=self.events * (number + 1) // count - self.events * number // count,
                object_key=raw_object(start_ms / 1000, f"bulk-{self.key >> 32:08x}-{part:02}"),
            )


def some_events(seed: int, end: datetime) -> int:
    """How many events a run makes that is not told: half a million to three quarters, another number each time."""
    return Random(f"{seed}/{int(end.timestamp())}").randint(LEAST_EVENTS, MOST_EVENTS)


def files_for(events: int, minutes: int) -> int:
    """Files a minute, so that none has more than `FILE_EVENTS`."""
    return -(-events // (minutes * FILE_EVENTS))


def problem_with(events: int, minutes: int, files_per_minute: int) -> str | None:
    """Why a run of that size cannot be made, or None."""
    if files_per_minute > MOST_FILES_PER_MINUTE:
        most = FILE_EVENTS * MOST_FILES_PER_MINUTE
        return f"{events:,} events are more than {most:,} a minute: take more --minutes"
    if events > minutes * files_per_minute * MOST_FILE_EVENTS:
        return f"more than {MOST_FILE_EVENTS:,} events in a file: take {files_for(events, minutes)} --files-per-minute"
    return None
