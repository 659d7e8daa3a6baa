"""S3 answers 409 to a completion: another write of the key is under way, most likely our own, whose answer was lost."""

from functools import partial

from headrace.clock import ManualClock
from headrace.delivery.patience import RETRY_MAX_SECONDS, Patience
from headrace.lake.memory import MemoryStore
from headrace.lake.ports import Completion, StagedObject
from headrace.leases.model import Lease
from headrace.runtime import Shutdown
from headrace.telemetry.health import Health
from tests.unit.delivery.batches import Shard, record


class Busy(MemoryStore):
    """Answers so many completions with 409. With `at_work` the first of them is carried out at the last."""

    def __init__(self, answers: int, *, at_work: bool = False) -> None:
        super().__init__()
        self.asked: list[str] = []
        self._left = answers
        self._at_work = at_work

    async def complete(self, staged: StagedObject) -> Completion:
        self.asked.append(staged.upload_id)
        if self._left == 0:
            return await super().complete(staged)
        self._left -= 1
        if self._left == 0 and self._at_work:
            await super().complete(staged)
        return Completion.BUSY


async def deliver(shard: Shard, clock: ManualClock) -> Lease | None:
    attempt = shard.attempt([record(2)], await shard.take())
    patience = Patience(clock, Health(clock=clock))
    committed = await patience.insist("deliver", partial(attempt.run, caught_up_at=None), Shutdown(5.0, clock))
    assert patience.refusal is None
    return committed


async def test_a_key_that_is_busy_for_minutes_halts_nothing_and_the_same_upload_is_completed() -> None:
    store, clock = Busy(100), ManualClock()
    shard, began = Shard(store), clock.monotonic()
    committed = await deliver(shard, clock)
    assert committed is not None
    assert committed.batch_no == 1
    assert len(set(store.asked)) == 1
    assert len(store.asked) == 101
    assert clock.monotonic() - began > 60
    assert clock.monotonic() - began <= 101 * RETRY_MAX_SECONDS
    assert (await shard.views(), len(shard.visible())) == (1, 1)


async def test_our_own_completion_that_was_under_way_counts_as_soon_as_it_is_visible() -> None:
    store, clock = Busy(3, at_work=True), ManualClock()
    shard = Shard(store)
    committed = await deliver(shard, clock)
    assert committed is not None
    assert committed.batch_no == 1
    assert len(store.asked) == 3  # the last time the object was found, with our digest
    assert (await shard.views(), len(shard.visible())) == (1, 1)


async def test_a_busy_key_is_settled_by_the_next_owner() -> None:
    store, clock = Busy(1), ManualClock()
    shard = Shard(store)
    await shard.declare([record(2)], await shard.take("old"))
    lease = await shard.take("new")
    patience = Patience(clock, Health(clock=clock))
    settled = await patience.insist("settle", partial(shard.recovery.settle, lease), Shutdown(5.0, clock))
    assert settled is not None
    assert (settled.batch_no, len(shard.visible())) == (1, 1)
