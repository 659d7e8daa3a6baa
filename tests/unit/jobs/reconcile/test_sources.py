from typing import Any

import pytest

from headrace.counters.memory import MemoryCounters
from headrace.lake.memory import MemoryStore
from headrace.leases.memory import MemoryLeaseStore
from headrace.quarantine import REPLAY
from headrace.state.memory import MemoryStateStore
from jobs.reconcile.audit import Audit, Check
from jobs.reconcile.places import Places
from jobs.reconcile.reconcile import reconcile
from jobs.reconcile.shard import Hours
from tests.unit.delivery.batches import NOW
from tests.unit.jobs.reconcile.world import told, unseen

TOTALS = {"polled": 9, "accepted": 8, "extra_columns": 1, "rejected": 1, "put": 6, "spooled": 2}
BALANCED = {"polled": 2, "accepted": 2, "put": 3, "spooled": -1}
THIS_HOUR = int(NOW // 3600)


async def audit_of(document: dict[str, Any]) -> Audit:
    state = MemoryStateStore()
    await state.put("cursor:shop", document, expected=0)
    await state.put("mark:other", {}, expected=0)
    places = Places(store=MemoryStore(), leases=MemoryLeaseStore(), ledger=MemoryCounters(), state=state)
    return await reconcile(places, "headrace", {REPLAY: None}, Hours.back(24, now=NOW), unseen)


async def test_a_source_in_balance_agrees_in_all_and_by_hour() -> None:
    hours = {str(THIS_HOUR): BALANCED, str(THIS_HOUR - 24): BALANCED, str(THIS_HOUR - 25): {"polled": 1}}
    audit = await audit_of({"cursor": 1, "exhausted": False, "totals": TOTALS, "hours": hours})
    assert told(audit) == []
    assert audit.compared == {Check.SOURCE: 3}


async def test_a_document_of_an_older_version_has_totals_only() -> None:
    assert (await audit_of({"cursor": 1, "exhausted": False, "totals": TOTALS})).compared == {Check.SOURCE: 1}


@pytest.mark.parametrize(
    ("changed", "expected", "found"),
    [
        ({"rejected": 0}, "polled 8", "polled 9"),
        ({"put": 5}, "accepted 7", "accepted 8"),
        ({"accepted": 7}, "polled 8, accepted 8", "polled 9, accepted 7"),
    ],
)
async def test_a_source_out_of_balance_is_named(changed: dict[str, int], expected: str, found: str) -> None:
    audit = await audit_of({"cursor": 1, "exhausted": False, "totals": {**TOTALS, **changed}})
    assert told(audit) == [("sources", "cursor:shop", expected, found)]


async def test_an_hour_out_of_balance_is_named() -> None:
    hours = {str(THIS_HOUR): {**BALANCED, "polled": 3}}
    audit = await audit_of({"cursor": 1, "exhausted": False, "totals": TOTALS, "hours": hours})
    assert told(audit) == [("sources", "cursor:shop 2026-04-09T02Z", "polled 2", "polled 3")]
