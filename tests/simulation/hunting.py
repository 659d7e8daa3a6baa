"""Every single fault, pairs within a batch, and the hunt for a mutant."""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tests.simulation.cases import Case, Outcome, run
from tests.simulation.faults import Call, faults_of
from tests.simulation.manners import Manner
from tests.simulation.mutants import Mutant
from tests.simulation.rules import ALL, Rule
from tests.simulation.scenarios import NEW, Scenario

PAIRS = 150
"""Of each scenario."""
WITHIN = 12
"""Calls between the two faults of a pair, at most: about a batch."""
PATIENCE = 1500
"""Cases that a mutant may survive."""
AIMS = {
    Mutant.NO_INTENT: "store.complete",
    Mutant.RANDOM_KEYS: "store.complete",
    Mutant.COMMIT_BEFORE_COUNTERS: "leases.commit",
    Mutant.INTENT_WITHOUT_CHECKPOINT: "leases.declare",
    Mutant.UNCONDITIONAL_COUNTERS: "counters.apply",
    Mutant.IGNORE_PENDING_INTENT: "store.complete",
    Mutant.COMMIT_WITHOUT_INTENT: "leases.commit",
    Mutant.COUNTERS_BY_EQUALITY: "counters.apply",
    Mutant.INTENT_BEFORE_MANIFEST: "leases.declare",
    Mutant.GUESS_AFTER_TIMEOUT: "leases.declare",
}
"""The call at which a fault makes each missing rule felt."""
_DELIVERING = (
    "store.",
    "leases.declare",
    "leases.commit",
    "leases.end",
    "leases.renew",
    "leases.claim",
    "leases.release",
    "counters.",
)


def every_fault(calls: Sequence[Call], scenario: Scenario = Scenario.STEAL) -> list[Case]:
    """The scenario once for each of these calls and each fault that can happen to it."""
    return [Case(scenario=scenario, faults=((call.index, fault),)) for call in calls for fault in faults_of(call.name)]


def singles(scenario: Scenario) -> list[Case]:
    """A scenario as it is, and with each fault at each call that no other scenario has."""
    return [Case(scenario=scenario), *every_fault(_own_calls(scenario), scenario)]


def pairs(scenario: Scenario, count: int) -> list[Case]:
    """Two faults within about a batch's delivery, drawn from all such pairs."""
    rng = random.Random(f"pairs {scenario}")
    calls = _own_calls(scenario)
    steps = [call for call in calls if call.name.startswith(_DELIVERING)]
    return [replace(_pair(calls, rng.choice(steps), rng), scenario=scenario) for _ in range(count)]


def rude(manner: Manner, seeds: int) -> list[Case]:
    """A fleet that hands over in some other way: the story of a hand-over with pairs of faults, and some seeds."""
    cases = [Case(scenario=Scenario.HANDOVER), *pairs(Scenario.HANDOVER, seeds), *(Case(seed=n) for n in range(seeds))]
    return [replace(case, manner=manner) for case in cases]


def _own_calls(scenario: Scenario) -> Sequence[Call]:
    calls = run(Case(scenario=scenario)).calls
    return calls[next(call.index for call in calls if call.worker == NEW[scenario]) :]


def _pair(calls: Sequence[Call], first: Call, rng: random.Random) -> Case:
    """The second call is numbered as in the run without faults; after the first fault another one may be there."""
    second = calls[min(first.index - calls[0].index + rng.randint(1, WITHIN), len(calls) - 1)]
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
    for tried, case in enumerate(_quarry(mutant), 1):
        outcome = run(case, enforced=enforced)
        if outcome.violation is not None or tried == patience:
            killed = outcome if outcome.violation is not None else None
            return Hunt(mutant=mutant, enforced=enforced, tried=tried, killed=killed)
    raise AssertionError("there is always a next seed")


def _quarry(mutant: Mutant) -> Iterator[Case]:
    """The scenario as it is; then faults at the calls that the missing rule is about, pairs and seeds, without end."""
    rng = random.Random(f"hunt {mutant}")
    yield Case(mutant=mutant)
    calls = run(Case()).calls
    aimed = [call for call in calls if call.name == AIMS[mutant]]
    alone = every_fault(aimed)
    rng.shuffle(alone)
    for seed in itertools.count():
        if alone:
            yield replace(alone.pop(), mutant=mutant)
        yield replace(_pair(calls, rng.choice(aimed), rng), mutant=mutant)
        yield Case(seed=seed, mutant=mutant)
