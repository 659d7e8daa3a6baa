"""Which leases to take and which to ask for: decisions as values, without a clock, a network or a store."""

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum, auto

from headrace.leases.model import Lease, LeaseKey

TAKE_UNSEEN = 2
CLAIM_UNSEEN = 1
"""What a worker takes and claims at once while the rows do not show it to the others: so workers that start together
see each other before any of them takes it all."""
CLAIMS_OPEN = 32
"""Claims of one worker at a time: each is looked at twice a second, and its owner delivers before it lets go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one worker saw of a lease, and since when it has not changed."""

    counter: int
    owner: str | None
    since: float
    """On the observer's monotonic clock."""
    claim: str | None = None
    claimed_since: float = -math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a worker does about its share."""

    take: tuple[Lease, ...] = ()
    """Nobody holds them."""
    claim: tuple[Lease, ...] = ()
    """Somebody holds them who has more than their share, or is about to end."""
    alone: bool = True
    """Whether no other worker is known that stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim of ours."""

    lease: Lease
    """The row with the claim on it."""
    until: float
    """Until when its owner may hand it over, on our monotonic clock."""

    @property
    def key(self) -> LeaseKey:
        """The row's."""
        return self.lease.key


class Standing(StrEnum):
    """What has become of a claim."""

    OPEN = auto()
    """Its owner has it still."""
    OVERDUE = auto()
    """Its owner lives and does not let go: what it does there is stuck. The shard shall not be."""
    FREE = auto()
    GONE = auto()
    """Somebody else has the lease, or nobody needs it any more."""


def observe(
    leases: Iterable[Lease],
    before: Mapping[LeaseKey, Observation],
    now: float,
    *,
    me: str,
    held: Collection[LeaseKey],
) -> dict[LeaseKey, Observation]:
    """What worker `me` knows after reading `leases` at `now`: a lease that moved is as fresh as this reading.

    Its own leases need no watching: those it holds are fresh. One with its name on it that it does not hold comes from
    a take or a release whose answer was lost; nobody renews it, so it has expired already.
    """

    def look(lease: Lease) -> Observation:
        known = before.get(lease.key)
        same_claim = known is not None and known.claim == lease.claim
        seen = Observation(
            counter=lease.counter,
            owner=lease.owner,
            since=now,
            claim=lease.claim,
            claimed_since=known.claimed_since if known is not None and same_claim else now,
        )
        if lease.owner == me:
            return seen if lease.key in held else replace(seen, since=-math.inf)
        moved = known is None or (known.counter, known.owner) != (lease.counter, lease.owner)
        return seen if known is None or moved else replace(seen, since=known.since)

    return {lease.key: look(lease) for lease in leases}


def next_expiry(observed: Mapping[LeaseKey, Observation], me: str, now: float, failover: float) -> float:
    """When the next lease of another worker expires if nobody renews it until then; infinity if there is none."""
    ends = (each.since + failover for each in observed.values() if each.owner not in {None, me})
    return min((end for end in ends if end > now), default=math.inf)


def standing(row: Lease | None, claim: Claim, me: str, now: float) -> Standing:
    """What a row says of a claim of worker `me`."""
    if row is None or row.ended:
        return Standing.GONE
    if row.owner is None:
        return Standing.FREE
    if (row.owner, row.epoch, row.claim) != (claim.lease.owner, claim.lease.epoch, me):
        return Standing.GONE
    return Standing.OVERDUE if now >= claim.until else Standing.OPEN


def plan_share(
    leases: Sequence[Lease], me: str, observed: Mapping[LeaseKey, Observation], now: float, failover: float
) -> Plan:
    """What worker `me` should take and claim now; `leases` is all there is of the stream.

    The leases that can be worked on (not those that ended, nor children whose parents have not) are shared out among
    the live workers: each is due ⌊leases / workers⌋, and those who have most already are due one more each until
    nothing is left. The dues add up to the leases, so that all who decide by the same rows want different things, and
    nobody wants anything once all have their due. A lease that is claimed counts as the claimant's already, one whose
    owner is leaving as nobody's.
    """
    workable = sorted(_workable(leases), key=lambda lease: _preference(me, lease))
    holders = _Holders(workable, observed, now, failover)
    load = Counter({me: 0})
    load.update(worker for worker in map(holders.next, workable) if worker is not None)
    due = _dues(load, len(workable))
    wanted = due[me] - load[me]
    shown = load[me] > 0

    free = [lease for lease in workable if holders.is_free(lease)]
    take = free[: max(0, wanted if shown else min(wanted, TAKE_UNSEEN))]

    over = {worker: load[worker] - due[worker] for worker in load}
    others = _claimable(workable, holders, over, me)
    open_claims = sum(holders.claimant(lease) == me for lease in workable)
    room = min(wanted - len(free), CLAIMS_OPEN - open_claims if shown else CLAIM_UNSEEN)
    return Plan(take=tuple(take), claim=tuple(others[: max(0, room)]), alone=set(load) == {me})


class _Holders:
    """Who has a lease and who will, as one worker saw the rows."""

    def __init__(
        self, workable: Sequence[Lease], observed: Mapping[LeaseKey, Observation], now: float, failover: float
    ) -> None:
        self._observed = observed
        self._now = now
        self._failover = failover
        self.leaving = {lease.owner for lease in workable if lease.leaving and not self.is_free(lease)}
        """Workers that are about to end."""

    def is_free(self, lease: Lease) -> bool:
        """Whether nobody holds it, or its owner has shown no life for the failover time."""
        seen = self._observed.get(lease.key)
        return lease.owner is None or (seen is not None and self._now - seen.since >= self._failover)

    def owner(self, lease: Lease) -> str | None:
        """Who holds it."""
        return None if self.is_free(lease) else lease.owner

    def claimant(self, lease: Lease) -> str | None:
        """Who asked for it, unless that was so long ago that they would have it if they lived."""
        seen = self._observed.get(lease.key)
        if lease.claim is None or lease.claim in self.leaving or self.is_free(lease) or seen is None:
            return None
        return lease.claim if self._now - seen.claimed_since < self._failover else None

    def next(self, lease: Lease) -> str | None:
        """Who will have it when all claims are met."""
        claimant, owner = self.claimant(lease), self.owner(lease)
        return claimant or (None if owner in self.leaving else owner)


def _claimable(workable: Sequence[Lease], holders: _Holders, over: Mapping[str, int], me: str) -> list[Lease]:
    """What workers that are leaving hold, and then what others hold beyond their due."""
    left = dict(over)
    leaving, surplus = [], []
    for lease in workable:
        owner = holders.owner(lease)
        if owner is None or owner == me or holders.claimant(lease) is not None:
            continue
        if owner in holders.leaving:
            leaving.append(lease)
        elif left[owner] > 0:
            left[owner] -= 1
            surplus.append(lease)
    return leaving + surplus


def _dues(load: Counter[str], leases: int) -> dict[str, int]:
    """How many leases each worker is due."""
    least, more = divmod(leases, len(load))
    order = sorted(load, key=lambda worker: (-load[worker], worker))
    return {worker: least + (n < more) for n, worker in enumerate(order)}


def _workable(leases: Sequence[Lease]) -> list[Lease]:
    unfinished = {lease.shard_id for lease in leases if not lease.ended}
    return [lease for lease in leases if not lease.ended and unfinished.isdisjoint(lease.parents)]


def _preference(worker: str, lease: Lease) -> bytes:
    """Each worker goes through the leases in an order of its own, so that two rarely reach for the same one."""
    return hashlib.sha256(f"{worker} {lease.key}".encode()).digest()
