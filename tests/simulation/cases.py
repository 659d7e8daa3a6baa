"""One run of the simulator: which faults it meets, and how to have the same run again."""

import random
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.simulation import scenarios, wandering
from tests.simulation.build import PRODUCTION, Build
from tests.simulation.faults import Call, Fault, Weather, at
from tests.simulation.healing import conclude
from tests.simulation.loop import DeadlockError, LivelockError
from tests.simulation.manners import MANNERS, Manner
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.network import LATENCY_SECONDS
from tests.simulation.rules import ALL, Rule, ViolationError
from tests.simulation.scenarios import PLAYS, Scenario
from tests.simulation.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Either a seed, or a scenario with faults at numbered calls."""

    seed: int | None = None
    scenario: Scenario = Scenario.STEAL
    faults: tuple[tuple[int, Fault], ...] = ()
    mutant: Mutant | None = None
    manner: Manner | None = None

    @property
    def arguments(self) -> str:
        """Of `python -m tests.simulation`, for this very run."""
        words = [f"--scenario {self.scenario}"] if self.seed is None else [f"--seed {self.seed}"]
        words += [f"--fault {index}:{fault}" for index, fault in self.faults]
        words += [f"--mutant {self.mutant}"] if self.mutant else []
        words += [f"--manner {self.manner}"] if self.manner else []
        return " ".join(words)

    @property
    def build(self) -> Build:
        """What the fleet is made of."""
        if self.mutant is not None:
            return MUTANTS[self.mutant]
        return MANNERS[self.manner] if self.manner is not None else PRODUCTION

    @property
    def reproduce(self) -> str:
        """The line that repeats it."""
        return f'make simulate ARGS="{self.arguments}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run found."""

    case: Case
    violation: ViolationError | None
    calls: tuple[Call, ...]
    injected: Counter[tuple[Fault, str]]
    checked: Counter[Rule]
    seconds: float
    trace: tuple[str, ...] = field(default=(), repr=False)


def run(case: Case, *, enforced: frozenset[Rule] = ALL, tracing: bool = False) -> Outcome:
    """Play a case to its end, or to the first rule that is broken."""
    began = time.process_time()
    rng = random.Random(f"wandering {case.seed}")
    weather = Weather(rng)
    hook = at(dict(case.faults)) if case.seed is None else weather
    violation = None
    seed = scenarios.SEED if case.seed is None else case.seed
    latency = LATENCY_SECONDS if case.seed is None else rng.choice(wandering.LATENCIES)
    with World(seed, hook=hook, build=case.build, enforced=enforced, latency=latency, tracing=tracing) as world:
        try:
            if case.seed is None:
                PLAYS[case.scenario](world)
            else:
                wandering.wander(world, weather, rng)
            conclude(world)
        except ViolationError as error:
            violation = error
        except (DeadlockError, LivelockError) as error:
            violation = ViolationError(Rule.PROGRESS, repr(error))
        if violation is not None:
            world.say(f"VIOLATION {violation}")
    return Outcome(
        case=case,
        violation=violation,
        calls=tuple(world.calls),
        injected=world.injected,
        checked=world.judge.checked,
        seconds=time.process_time() - began,
        trace=tuple(world.trace or ()),
    )
