"""What the world and its workers are made of: the real parts, any of which a mutant replaces by one of its own."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.counters.memory import MemoryCounters
from headrace.delivery.deliver import Delivery
from headrace.delivery.fleet import Fleet
from headrace.delivery.plan import Planner
from headrace.delivery.recover import Recovery
from headrace.lake.memory import MemoryStore
from headrace.leases.memory import MemoryLeaseStore

if TYPE_CHECKING:
    from tests.simulation.worker import Worker


def as_it_is(store: MemoryStore, worker: "Worker") -> Any:
    """The store as every worker sees it."""
    return store


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """The parts of the protocol. The defaults are production's."""

    fleet: type[Fleet] = Fleet
    planner: type[Planner] = Planner
    delivery: type[Delivery] = Delivery
    recovery: type[Recovery] = Recovery
    leases: type[MemoryLeaseStore] = MemoryLeaseStore
    counters: type[MemoryCounters] = MemoryCounters
    store: type[MemoryStore] = MemoryStore
    store_of: Any = as_it_is
    """(store, worker) → the store as that worker sees it."""


PRODUCTION = Build()
