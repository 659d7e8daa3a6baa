"""A clean run finds nothing; every kind of damage is found and named."""

from dataclasses import asdict, replace

import msgspec
import pytest

from headrace.counters.memory import MemoryCounters
from headrace.delivery.manifest import Manifest
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import SHARD_END, Ledger
from headrace.quarantine import from_jsonl_gz, to_jsonl_gz
from jobs.reconcile.audit import Check
from jobs.reconcile.chain import AHEAD
from tests.unit.delivery.batches import KEY, LINEAGE, NOW, Shard, broken, record, settled
from tests.unit.jobs.reconcile.world import (
    HOUR,
    audit_of,
    change_manifest,
    deliver_at,
    delivered,
    read_manifest,
    told,
)

ORIGIN = f"{LINEAGE}-shard"


async def test_a_clean_run_finds_nothing_and_says_what_it_compared() -> None:
    shard, _ = await delivered()
    audit = await audit_of(shard)
    assert told(audit) == []
    assert audit.in_flight == []
    assert audit.compared == {
        Check.CONTROL: 2,
        Check.MANIFEST: 3 + 2,
        Check.LEDGER: 2,
        Check.OBJECT: 4 + 2,
        Check.ROWS: 4 + 2,
        Check.FOLDER: 4,
    }


async def test_a_shard_without_a_batch_has_nothing_to_compare() -> None:
    shard = Shard()
    await shard.take()
    audit = await audit_of(shard)
    assert (told(audit), audit.compared.total()) == ([], 0)


async def test_a_shard_that_ended_agrees() -> None:
    shard, lease = await delivered()
    ended = await shard.delivery.end(lease, caught_up_at=None)
    assert ended.checkpoint == SHARD_END
    assert told(await audit_of(shard)) == []


async def test_what_lies_before_the_hours_asked_for_is_not_looked_at() -> None:
    shard = Shard()
    lease = await deliver_at(shard, [record(1)], await shard.take(), NOW - 5 * HOUR)
    [old] = shard.visible()
    lease = await deliver_at(shard, [record(2)], lease, NOW)
    del shard.store._objects[old]
    assert told(await audit_of(shard, hours=4)) == []
    assert [found[:2] for found in told(await audit_of(shard, hours=5))] == [("objects", old)]


async def test_a_long_chain_is_followed_to_its_end() -> None:
    shard = Shard()
    lease = await shard.take()
    for n in range(AHEAD + 3):
        lease = await shard.deliver([record(2 * n)], lease)
    audit = await audit_of(shard)
    assert told(audit) == []
    assert audit.compared[Check.OBJECT] == AHEAD + 3


async def test_a_deleted_object_is_missing() -> None:
    shard, _ = await delivered()
    key = shard.visible()[0]
    body = shard.store._objects.pop(key)
    [(what, where, expected, found)] = told(await audit_of(shard))
    assert (what, where, found) == ("objects", key, "missing")
    assert expected.endswith(f", size {len(body)}")


async def test_an_object_with_other_bytes_is_told_from_the_one_that_was_decided() -> None:
    shard, _ = await delivered()
    one, other = shard.visible()[:2]
    await shard.store.put(one, await shard.store.get(other))
    found = told(await audit_of(shard))
    assert [line[:2] for line in found] == [("objects", one), ("rows", one)]
    assert found[1][2:] == ("rows 1", "rows 2")


@pytest.mark.parametrize("body", [b"", b"PAR1", b"no Parquet at all"])
async def test_an_object_that_is_no_parquet_has_no_rows(body: bytes) -> None:
    shard, _ = await delivered()
    key = shard.visible()[0]
    await shard.store.put(key, body)
    assert [(found[0], found[1], found[3]) for found in told(await audit_of(shard))][1:] == [
        ("rows", key, "rows unreadable")
    ]


async def test_a_dead_letter_that_is_gone_from_its_object_is_missed() -> None:
    shard, _ = await delivered()
    [key, _] = [each.key async for each in shard.store.list("failed_transformation_records/")]
    letters = from_jsonl_gz(await shard.store.get(key))
    await shard.store.put(key, to_jsonl_gz(letters[1:]))
    assert told(await audit_of(shard))[1:] == [("rows", key, "rows 1", "rows 0")]
    await shard.store.put(key, b"\x1f\x8b no gzip")
    assert told(await audit_of(shard))[1:] == [("rows", key, "rows 1", "rows unreadable")]


@pytest.mark.parametrize("name", [f"{ORIGIN}-0000000002-7", f"{ORIGIN}-0000009999-0", f"{LINEAGE}-other-0000000000-0"])
async def test_an_object_that_no_manifest_names_doubles_rows(name: str) -> None:
    shard, _ = await delivered()
    key = shard.visible()[0]
    double = f"{key.rpartition('/')[0]}/{name}.parquet"
    await shard.store.put(double, await shard.store.get(key))
    assert told(await audit_of(shard)) == [("folders", double, "manifests that name it 1", "manifests that name it 0")]


async def test_an_object_of_somebody_else_is_not_ours_to_judge() -> None:
    shard, _ = await delivered()
    folder = shard.visible()[0].rpartition("/")[0]
    await shard.store.put(f"{folder}/other-shard-0000000000-0.parquet", b"")
    assert told(await audit_of(shard)) == []


async def test_a_ledger_that_is_off_by_one_is_named_with_its_hour() -> None:
    shard, _ = await delivered()
    await shard.counters.apply(ORIGIN, 3, {}, now=NOW, ledger={"received": 1})
    assert told(await audit_of(shard)) == [("ledger hours", f"{ORIGIN} 2026-04-09T02Z", "received 7", "received 8")]


async def test_a_ledger_that_lacks_an_hour_is_missing() -> None:
    shard, _ = await delivered()
    found = told(await audit_of(shard, ledger=MemoryCounters()))
    assert [line[1] for line in found] == [f"{ORIGIN} 2026-04-09T01Z", f"{ORIGIN} 2026-04-09T02Z"]
    assert {line[3] for line in found} == {"missing"}


async def test_a_ledger_that_lacks_the_last_batch_is_behind() -> None:
    shard, _ = await delivered()
    behind = MemoryCounters()
    for key in shard.manifests()[:2]:
        manifest = await read_manifest(shard, key)
        await behind.apply(ORIGIN, manifest.batch_no, {}, now=manifest.planned_at, ledger=asdict(manifest.ledger))
    [(what, where, _, found)] = told(await audit_of(shard, ledger=behind))
    assert (what, where) == ("ledger hours", f"{ORIGIN} 2026-04-09T02Z")
    assert found.startswith("received 2, committed 2")


@pytest.mark.parametrize("at", [0, 1, 2])
async def test_a_missing_manifest_is_named_and_nothing_else(at: int) -> None:
    shard, _ = await delivered()
    key = shard.manifests()[at]
    del shard.store._objects[key]
    assert told(await audit_of(shard)) == [("manifests", key, "manifest there", "missing")]


async def test_a_manifest_that_is_none_is_named() -> None:
    shard, _ = await delivered()
    key = shard.manifests()[1]
    await shard.store.put(key, b"{")
    [(what, where, expected, found)] = told(await audit_of(shard))
    assert (what, where, expected) == ("manifests", key, "readable")
    assert "is no manifest" in found


async def test_a_manifest_that_does_not_balance_is_named() -> None:
    shard, _ = await delivered()
    key = shard.manifests()[2]
    body = await shard.store.get(key)
    await shard.store.put(key, body.replace(b'"received":5', b'"received":6'))
    [(what, where, _, found)] = told(await audit_of(shard))
    assert (what, where) == ("manifests", key)
    assert "does not balance" in found


async def test_a_chain_that_leads_in_a_circle_ends() -> None:
    shard, _ = await delivered()
    first, _, last = shard.manifests()
    await change_manifest(shard, first, msgspec.structs.replace(await read_manifest(shard, first), previous=last))
    [(what, where, _, found)] = told(await audit_of(shard))
    assert (what, where, found) == ("manifests", last, "batch 0 cannot come after it")


async def test_a_manifest_whose_sums_are_not_those_of_its_objects_is_named() -> None:
    shard, _ = await delivered()
    key = shard.manifests()[2]
    manifest: Manifest = await read_manifest(shard, key)
    await change_manifest(shard, key, msgspec.structs.replace(manifest, objects=manifest.objects[1:]))
    found = told(await audit_of(shard))
    assert found[0] == ("manifests", key, "committed 4, objects 1", "committed 0, objects 0")
    assert found[1][:2] == ("folders", manifest.objects[0].key)


async def test_a_manifest_that_does_not_follow_the_one_before_it_is_named() -> None:
    shard, _ = await delivered()
    older, newer = shard.manifests()[1:]
    manifest = await read_manifest(shard, newer)
    await change_manifest(shard, newer, msgspec.structs.replace(manifest, start="5"))
    assert told(await audit_of(shard)) == [("manifests", f"{newer} after {older}", "start 6", "start 5")]


async def test_a_row_that_does_not_stand_where_its_last_manifest_ends_is_named() -> None:
    shard, lease = await delivered()
    moved = MemoryLeaseStore()
    await moved.create([replace(lease, checkpoint="6", ledger=Ledger(received=1, committed=1))])
    [(what, where, expected, found)] = told(await audit_of(shard, leases=moved))
    assert (what, where) == ("control rows", KEY)
    assert expected.startswith("checkpoint 14, received 10, committed 8")
    assert found.startswith("checkpoint 6, received 1, committed 1")


async def test_a_shard_that_wrote_manifests_and_has_no_row_is_named() -> None:
    shard, _ = await delivered()
    folder = shard.manifests()[0].rpartition("/")[0] + "/"
    assert told(await audit_of(shard, leases=MemoryLeaseStore())) == [("control rows", folder, "row there", "missing")]


async def test_a_row_that_was_restored_and_brought_up_to_date_agrees() -> None:
    shard, lease = await delivered()
    old = lease
    lease = await deliver_at(shard, [record(16)], lease, NOW)
    await deliver_at(shard, [record(18)], lease, NOW)
    shard.leases._rows[KEY] = old
    lease = await settled(shard, await shard.take("another"))
    assert lease.generation == 1
    await deliver_at(shard, [record(20)], lease, NOW)
    assert told(await audit_of(shard)) == []


async def test_a_batch_of_a_worker_that_lost_its_lease_does_not_count() -> None:
    shard, lease = await delivered()
    undecided = await shard.delivery.stage(shard.plan([record(15)], lease), lease)
    stale = msgspec.structs.replace(undecided, epoch=undecided.epoch + 1)
    await change_manifest(shard, f"{shard.manifests()[0].rpartition('/')[0]}/0000000003-{stale.epoch}.json", stale)
    await shard.deliver([record(16)], lease)
    audit = await audit_of(shard)
    assert told(audit) == []
    assert audit.compared[Check.OBJECT] == 4 + 2 + 1


async def test_a_pending_intent_that_is_not_what_was_decided_is_named() -> None:
    shard, lease = await delivered()
    manifest, declared = await shard.declare([record(15)], lease)
    assert declared.intent is not None
    key = declared.intent.manifest
    await change_manifest(shard, key, msgspec.structs.replace(manifest, planned_at=NOW + 1))
    assert [line[:2] for line in told(await audit_of(shard))] == [("control rows", key)]
    del shard.store._objects[key]
    assert told(await audit_of(shard)) == [("control rows", key, "manifest there", "missing")]


@pytest.mark.parametrize("applied", [False, True])
async def test_a_batch_that_is_decided_and_not_committed_is_in_flight(applied: bool) -> None:
    shard, lease = await delivered()
    manifest, declared = await shard.declare([record(15), broken(16)], lease)
    if applied:
        await shard.delivery.apply(manifest)
    audit = await audit_of(shard)
    assert told(audit) == []
    assert declared.intent is not None
    assert audit.in_flight == [declared.intent.manifest]
