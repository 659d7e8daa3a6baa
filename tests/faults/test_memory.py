"""The transformer's memory, at full speed and while nothing can be delivered."""

import time

from headrace.delivery.batch import RECORD_BYTES
from tests.faults.scenario import Load
from tests.harness.actions import Action
from tests.harness.pipeline import SETTINGS, Pipeline, wait_until
from tests.harness.proxy import FaultProxy, Rule

EVENTS = 150_000
EVENT_BYTES = 1_000
SHARDS = 6
LIMIT = 400_000_000
MARGIN = 20_000_000
PAGE_BYTES = 10 << 20
STALLED_SECONDS = 8.0
PATIENCE = 90.0


def test_the_transformer_holds_no_more_than_it_may_while_its_sink_is_stalled_and_at_full_speed(
    pipeline: Pipeline, proxy: FaultProxy, notes: list[str]
) -> None:
    load = Load("memory")
    stream = "memory"
    pipeline.make_stream(stream, shards=SHARDS)
    load.ids = load.fresh(EVENTS)
    pipeline.flood(stream, load.ids, hour=load.hour, product=load.product, size=EVENT_BYTES)
    settings = {"KINESIS_STREAM_NAME": stream, "HEADRACE_BATCH_AGE": "10s"}
    transformer = pipeline.service("transformer", **settings)
    try:
        with proxy.rules(Rule(action=Action.DROP_BEFORE, service="s3", operations=frozenset({"UploadPart"}))):
            transformer.start()
            idle = transformer.resident_bytes()
            buffered = lambda: transformer.metric("headrace_buffer_bytes")  # noqa: E731
            # From a third of it on shards deliver, in vain here, and a shard that delivers does not fetch.
            enough = SETTINGS.buffer_bytes / 3 * EVENT_BYTES / (EVENT_BYTES + RECORD_BYTES)
            wait_until(lambda: buffered() >= enough, PATIENCE, transformer.tail)
            time.sleep(STALLED_SECONDS)  # that no more is fetched can only be seen by waiting
            held, stalled = buffered(), transformer.peak_bytes()
            alive = transformer.alive()
        started = time.monotonic()
        wait_until(lambda: pipeline.landed(load.hour).keys() >= set(load.ids), PATIENCE, transformer.tail)
        seconds = time.monotonic() - started
        peak = transformer.peak_bytes()
    finally:
        transformer.kill()
    notes.append(
        f"transformer, MB of memory: {idle / 1e6:.0f} idle, {stalled / 1e6:.0f} with a stalled sink and "
        f"{held / 1e6:.0f} of payload held, {peak / 1e6:.0f} at most, with {EVENTS / seconds:,.0f} events/s after it"
    )
    assert alive
    assert held < SETTINGS.buffer_bytes + SHARDS * PAGE_BYTES
    assert peak < LIMIT - MARGIN
