"""Every single fault, pairs within a batch, and the hunt for a mutant."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.simulation.cases import Case, Outcome, run
from tests.simulation.faults import Call, faults_of
from tests.simulation.mutants import Mutant
from tests.simulation.rules import ALL, Rule

PAIRS = 400
WITHIN = 12
"""Calls between the two faults of a pair, at most: about a batch."""
PATIENCE = 1500
"""Cases that a mutant may survive."""
_DELIVERING = ("store.", "leases.declare", "leases.commit", "leases.end", "leases.renew", "counters.")


def every_fault(calls: Sequence[Call]) -> list[Case]:
    """The scenario once for each call and each fault that can happen to it."""
    return [Case(faults=((call.index, fault),)) for call in calls for fault in faults_of(call.name)]


def pairs(calls: Sequence[Call], count: int, seed: int = 0) -> list[Case]:
    """Two faults within a batch's delivery, drawn from all such pairs."""
    rng = random.Random(f"pairs {seed}")
    steps = [call for call in calls if call.name.startswith(_DELIVERING)]
    return [_pair(calls, rng.choice(steps), rng) for _ in range(count)]


def _pair(calls: Sequence[Call], first: Call, rng: random.Random) -> Case:
    """The second call is numbered as in the run without faults; after the first fault another one may be there."""
    second = calls[min(first.index + rng.randint(1, WITHIN), len(calls) - 1)]
    faults = {first.index: rng.choice(faults_of(first.name)), second.index: rng.choice(faults_of(second.name))}
    return Case(faults=tuple(sorted(faults.items())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunt:
    """How long a mutant lived. `killed` is None when it survived."""

    mutant: Mutant
    enforced: frozenset[Rule]
    tried: int
    killed: Outcome | None


def hunt(mutant: Mutant, *, enforced: frozenset[Rule] = ALL, patience: int = PATIENCE) -> Hunt:
    """Try cases on a mutant until one finds it out."""
    tried = 0
    for case in _quarry(mutant):
        tried += 1
        outcome = run(case, enforced=enforced)
        if outcome.violation is not None or tried == patience:
            killed = outcome if outcome.violation is not None else None
            return Hunt(mutant=mutant, enforced=enforced, tried=tried, killed=killed)
    raise AssertionError("there is always a next seed")


def _quarry(mutant: Mutant) -> Iterator[Case]:
    """The scenario as it is; then single faults of the delivery, pairs and seeds in turn, without end."""
    rng = random.Random(f"hunt {mutant}")
    yield Case(mutant=mutant)
    calls = run(Case()).calls
    singles = [case for case in every_fault(calls) if calls[case.faults[0][0]].name.startswith(_DELIVERING)]
    rng.shuffle(singles)
    seed = 0
    while True:
        if singles:
            yield Case(faults=singles.pop().faults, mutant=mutant)
        yield Case(faults=pairs(calls, 1, rng.randrange(1 << 30))[0].faults, mutant=mutant)
        yield Case(seed=seed, mutant=mutant)
        seed += 1
