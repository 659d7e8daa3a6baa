"""Where a reconciliation looks. It writes nowhere."""

from dataclasses import dataclass
from typing import Protocol

from headrace.counters.ports import LedgerReader
from headrace.lake.ports import ObjectStore, TailReader
from headrace.leases.ports import LeaseStore
from headrace.state.ports import StateStore


class Bucket(ObjectStore, TailReader, Protocol):
    """The bucket, and the ends of its objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """All that is compared."""

    store: Bucket
    leases: LeaseStore
    ledger: LedgerReader
    state: StateStore
