"""The poller where it is not let in (fault 21): it waits, says so, skips nothing, and goes on once it may."""

import asyncio
from typing import Any

import pytest

from headrace.clock import ManualClock
from headrace.errors import AccessError, UnavailableError
from headrace.telemetry.health import Health
from services.api_consumer.insist import Insist
from tests.unit.services.api_consumer_rig import Faulty, Rig, Script, event

DENIED = AccessError("AccessDeniedException: no")


@pytest.mark.parametrize("broken", ["producer", "store", "state"])
async def test_what_is_refused_is_waited_for_and_never_skipped(broken: str) -> None:
    rig = Rig(spool_after=5.0)
    adapter = {"producer": rig.stream, "store": rig.store, "state": rig.state}[broken]
    faulty = Faulty(adapter, "put", [DENIED] * 10)
    await rig.poller(**{broken: faulty}).run([Script([event(1), b"bad"], [event(2)])])
    assert [found["product_id"] for found in await rig.events()] == ["1", "2"]
    assert [len(envelopes) for envelopes in await rig.quarantined("failed_records/")] == [1]
    assert await rig.quarantined("kinesis_failures/") == []  # for outages; a refusal is for somebody to mend
    assert (await rig.cursor())["totals"]["polled"] == 3
    assert rig.clock.monotonic() == 10.0


async def test_a_refusal_while_the_spool_is_put_back_keeps_the_order() -> None:
    rig = Rig(spool_after=0.0)
    clock = rig.clock
    assert isinstance(clock, ManualClock)
    faulty = Faulty(rig.stream, "put", [UnavailableError("down"), DENIED, DENIED])
    pages = Script([event(1)], lambda: clock.advance(60.0), [event(2)], [event(3)])
    await rig.poller(producer=faulty).run([pages])
    assert [found["product_id"] for found in await rig.events()] == ["1", "2", "3"]
    totals = (await rig.cursor())["totals"]
    assert (totals["accepted"], totals["put"], totals["spooled"]) == (3, 3, 0)


async def test_readiness_says_what_the_poller_waits_for_until_it_is_let_in() -> None:
    clock, health = ManualClock(), Health()
    health.started()
    insist = Insist(clock, health)
    health.add_check("work", insist.check)
    let_in = asyncio.Event()
    asked = asyncio.Event()

    async def step() -> str:
        asked.set()
        if not let_in.is_set():
            raise DENIED
        return "done"

    waiting = asyncio.create_task(insist(step, patience=0.0))
    async with asyncio.timeout(5):
        await asked.wait()
        while not await health.problems():
            await asyncio.sleep(0)
        assert await health.problems() == {"work": "AccessError"}
        let_in.set()
        assert await waiting == "done"
    assert await health.problems() == {}


async def test_an_outage_that_outlasts_the_patience_is_handed_back() -> None:
    insist = Insist(ManualClock(), Health())
    faulty: Any = Faulty(Rig().store, "put", [UnavailableError("down")] * 9)
    with pytest.raises(UnavailableError):
        await insist(faulty.put, "key", b"", patience=3.0)
    with pytest.raises(UnavailableError):
        await insist.check()
