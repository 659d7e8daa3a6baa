"""Shoppers straight to the stream, without an API in between."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from headrace.aws.session import AwsSession
from headrace.clock import Clock
from headrace.runtime import Context, Shutdown
from headrace.stream.connect import open_producer
from headrace.stream.ports import Entry, Producer
from jobs.simulate.shoppers import Item

PUT_EVENTS = 5_000
"""Most events handed to the producer at once; it cuts them by the stream's own limits."""
TICK_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a run did."""

    events: int
    bytes: int
    """Of payload."""
    seconds: float


OnSent = Callable[[int], object]
"""Hears of each step and its number of events."""


async def run_stream(items: Iterator[Item], *, paced: bool, on_sent: OnSent, context: Context) -> Sent:
    """`send` to the stream that the settings name."""
    settings, metrics, clock = context.settings, context.metrics, context.clock
    async with AwsSession(settings.region) as aws, open_producer(settings, aws, metrics, clock) as producer:
        return await send(items, producer, paced=paced, on_sent=on_sent, clock=clock, shutdown=context.shutdown)


async def send(
    items: Iterator[Item], producer: Producer, *, paced: bool, on_sent: OnSent, clock: Clock, shutdown: Shutdown
) -> Sent:
    """Put `items` until they end or a stop is asked for: each when its time has come (`paced`), or as fast as it goes.

    Raises what `Producer.put` raises.
    """
    began = clock.monotonic()
    events = size = 0
    coming = next(items, None)
    while coming and not shutdown.requested:
        due_ms = clock.now() * 1000 if paced else float("inf")
        entries: list[Entry] = []
        while coming and coming.at_ms <= due_ms and len(entries) < PUT_EVENTS:
            entries.append(Entry(coming.data, coming.key))
            coming = next(items, None)
        if entries:
            await producer.put(entries)
            events += len(entries)
            size += sum(len(entry.data) for entry in entries)
            on_sent(len(entries))
        else:
            await clock.sleep(TICK_SECONDS)
    return Sent(events=events, bytes=size, seconds=round(clock.monotonic() - began, 3))
