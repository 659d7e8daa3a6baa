"""A batch step by step: what each leaves behind, and that each can be repeated."""

import pytest

from headrace.delivery.apply import ObjectConflictError
from headrace.delivery.manifest import decode
from headrace.errors import HaltedError, LeaseLostError, UnavailableError
from headrace.lake.memory import MemoryStore
from headrace.lake.ports import Completion, StagedObject
from headrace.leases.model import Intent
from tests.unit.delivery.batches import NOW, Shard, broken, record


async def test_before_the_decision_nothing_is_visible_and_behind_it_all_can_be_finished() -> None:
    shard = Shard()
    lease = await shard.take()
    manifest, decided = await shard.declare([record(1), record(2)], lease)
    assert shard.visible() == []
    assert await shard.views() == 0
    assert decided.intent == Intent(
        batch_no=0, manifest=shard.manifests()[0], sha256=decided.intent.sha256 if decided.intent else ""
    )
    committed = await shard.delivery.finish(manifest, decided, caught_up_at=NOW)
    assert len(shard.visible()) == 2
    assert await shard.views() == 2
    assert (committed.batch_no, committed.checkpoint, committed.intent) == (1, "2", None)
    assert committed.manifest == shard.manifests()[0]
    assert committed.ledger.committed == 2


async def test_the_manifest_says_all_that_the_batch_does() -> None:
    shard = Shard()
    lease = await shard.deliver([record(1)], await shard.take())
    await shard.deliver([record(2), broken(3)], lease)
    first, second = [decode(key, await shard.store.get(key)) for key in shard.manifests()]
    assert (first.start, first.end, first.previous) == ("TRIM_HORIZON", "1", "")
    assert (second.start, second.end, second.previous) == ("1", "3", shard.manifests()[0])
    assert second.reasons == {"malformed_json": 1}
    assert [(each.key, each.rows) for each in second.objects if each.key == second.dead_letter_key] == [
        (second.dead_letter_key, 1)
    ]
    assert {each.key for each in second.objects} <= set(shard.store.objects)
    assert (second.ledger.received, second.totals.received) == (2, 3)


async def test_what_was_applied_already_is_recognised_and_counted_once() -> None:
    shard = Shard()
    manifest, _ = await shard.declare([record(1), record(2)], await shard.take())
    await shard.delivery.apply(manifest)
    await shard.delivery.apply(manifest)
    assert len(shard.visible()) == 2
    assert await shard.views() == 2


class Answers(MemoryStore):
    """A store that gives the answers it is told to, without doing anything, before it works."""

    def __init__(self, *answers: Completion) -> None:
        super().__init__()
        self._answers = list(answers)

    async def complete(self, staged: StagedObject) -> Completion:
        return self._answers.pop(0) if self._answers else await super().complete(staged)


@pytest.mark.parametrize("answer", [Completion.BUSY, Completion.KEY_TAKEN])
async def test_another_write_of_the_key_under_way_is_waited_for(answer: Completion) -> None:
    shard = Shard(Answers(answer))
    attempt = shard.attempt([record(2)], await shard.take())
    with pytest.raises(UnavailableError):
        await attempt.run(caught_up_at=None)
    committed = await attempt.run(caught_up_at=None)
    assert committed.batch_no == 1
    assert len(shard.visible()) == 1


async def test_an_attempt_goes_on_at_the_step_that_failed_and_stages_nothing_twice() -> None:
    shard = Shard(Answers(Completion.BUSY, Completion.BUSY))
    attempt = shard.attempt([record(2)], await shard.take())
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await attempt.run(caught_up_at=None)
    await attempt.run(caught_up_at=None)
    assert shard.store.uploads == {}
    assert len(shard.manifests()) == 1


async def test_a_key_that_holds_other_bytes_stops_the_shard() -> None:
    shard = Shard()
    lease = await shard.take()
    [planned] = shard.plan([record(2)], lease).objects
    await shard.store.put(planned.key, b"somebody else's")
    with pytest.raises(ObjectConflictError, match="other bytes"):
        await shard.deliver([record(2)], lease)
    assert shard.metrics.registry.get_sample_value("headrace_object_conflict_total") == 1
    row = await shard.leases.get(lease.key)
    assert row is not None
    assert row.checkpoint == "TRIM_HORIZON"


async def test_an_upload_that_expired_while_its_intent_was_pending_stops_the_shard() -> None:
    shard = Shard()
    manifest, decided = await shard.declare([record(2)], await shard.take())
    shard.store.expire_uploads()
    with pytest.raises(HaltedError, match="nor does its upload"):
        await shard.delivery.finish(manifest, decided, caught_up_at=None)


async def test_a_zombie_that_finds_its_upload_and_its_lease_gone_abandons_the_batch() -> None:
    shard = Shard()
    manifest, decided = await shard.declare([record(2)], await shard.take("old"))
    await shard.take("new")
    shard.store.expire_uploads()
    with pytest.raises(LeaseLostError):
        await shard.delivery.finish(manifest, decided, caught_up_at=None)


async def test_a_zombie_that_finds_other_bytes_under_its_key_abandons_the_batch() -> None:
    shard = Shard()
    manifest, decided = await shard.declare([record(2)], await shard.take("old"))
    await shard.recovery.settle(await shard.take("new"))
    await shard.store.put(manifest.objects[0].key, b"without an erased user")
    with pytest.raises(LeaseLostError):
        await shard.delivery.finish(manifest, decided, caught_up_at=None)
    assert not shard.metrics.registry.get_sample_value("headrace_object_conflict_total")


async def test_a_zombie_cannot_decide() -> None:
    shard = Shard()
    old = await shard.take("old")
    new = await shard.take("new")
    with pytest.raises(LeaseLostError):
        await shard.deliver([record(1)], old)
    assert shard.visible() == []
    await shard.deliver([record(1), record(2)], new)
    assert len(shard.visible()) == 2


async def test_a_zombie_that_decided_finds_its_batch_committed_by_the_next_owner() -> None:
    shard = Shard()
    manifest, decided = await shard.declare([record(1)], await shard.take("old"))
    await shard.recovery.settle(await shard.take("new"))
    with pytest.raises(LeaseLostError):
        await shard.delivery.finish(manifest, decided, caught_up_at=None)
    assert await shard.views() == 1
    assert len(shard.visible()) == 1


async def test_a_pending_intent_can_be_seen_growing_old() -> None:
    shard = Shard(Answers(Completion.BUSY))
    attempt = shard.attempt([record(2)], await shard.take())
    with pytest.raises(UnavailableError):
        await attempt.run(caught_up_at=None)
    pending = shard.metrics.registry.get_sample_value("headrace_intent_pending_seconds", {"shard": "shard"})
    assert pending is not None
    assert pending > 0
    await attempt.run(caught_up_at=None)
    assert shard.metrics.registry.get_sample_value("headrace_intent_pending_seconds", {"shard": "shard"}) == 0
