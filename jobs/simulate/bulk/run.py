"""One run: rows are made in order, while a few files at a time are written, packed and put."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass

from headrace.clock import Clock
from jobs.simulate.bulk.cast import make_cast
from jobs.simulate.bulk.lines import Packed, Writer
from jobs.simulate.bulk.places import Place
from jobs.simulate.bulk.plan import Plan, Slice
from jobs.simulate.bulk.traffic import Rows, traffic

OnEvents = Callable[[int], object]
"""Hears of each file and its number of events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a run did."""

    events: int
    """Different ones."""
    lines: int
    """Events, their repeats and bad lines."""
    bad_lines: int
    duplicates: int
    late: int
    """Lines of late visits."""
    files: int
    text_bytes: int
    bytes: int
    """Of the files, gzipped."""
    seconds: float


class _Tally:
    """The sums so far."""

    def __init__(self) -> None:
        self.files = self.repeats = 0
        self.lines = self.bad_lines = self.late = self.text_bytes = self.bytes = 0

    def add(self, packed: Packed, repeats: int) -> None:
        self.files += 1
        self.repeats += repeats
        self.lines += packed.lines
        self.bad_lines += packed.bad_lines
        self.late += packed.late
        self.text_bytes += packed.text_bytes
        self.bytes += len(packed.body)


async def run(plan: Plan, place: Place, *, clock: Clock, on_events: OnEvents, workers: int | None = None) -> Summary:
    """Make what `plan` says. The files and their bytes do not depend on the number of `workers` (default: one a core).

    In memory are at most the rows under way and `workers` + 1 files. Raises what `Place.put` raises; the files put by
    then are whole and stay, and the same run again replaces them with the same bytes.
    """
    began = clock.monotonic()
    cast = await asyncio.to_thread(make_cast, plan.seed)
    writer = Writer(cast, plan.flaws)
    tally = _Tally()
    busy = asyncio.Semaphore(workers or os.cpu_count() or 1)

    async def ship(part: Slice, rows: Rows, repeats: int) -> None:
        try:
            packed = await asyncio.to_thread(writer.pack, rows)
            await place.put(part.object_key, packed.body)
        finally:
            busy.release()
        tally.add(packed, repeats)
        on_events(rows.num_rows - repeats)

    made = traffic(plan, cast)
    try:
        async with asyncio.TaskGroup() as tasks:
            while (step := await asyncio.to_thread(next, made, None)) is not None:
                part, rows, repeats = step
                if rows.num_rows:
                    await busy.acquire()
                    tasks.create_task(ship(part, rows, repeats))
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return Summary(
        events=plan.events,
        lines=tally.lines,
        bad_lines=tally.bad_lines,
        duplicates=tally.repeats,
        late=tally.late,
        files=tally.files,
        text_bytes=tally.text_bytes,
        bytes=tally.bytes,
        seconds=round(clock.monotonic() - began, 3),
    )
