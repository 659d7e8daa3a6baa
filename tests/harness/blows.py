"""Who is hit when, where and how: from a seed. Pure."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

AIMED = 0.8
"""Of the blows; the others fall whenever it is their time."""


class Way(StrEnum):
    """What is done to a process."""

    KILL = "kill -9"
    TERM = "SIGTERM"
    """As a deployment does it."""
    STOP = "SIGSTOP"
    """It goes on later, and believes that it still has its leases."""


class Aim(StrEnum):
    """The step during which a process is hit."""

    STAGE = "stage"
    MANIFEST = "manifest"
    DECLARE = "intent"
    COMPLETE = "apply"
    COUNT = "counters"
    COMMIT = "commit"
    TAKE = "take"


class Moment(StrEnum):
    """When the step's call has its effect."""

    NEVER = "never"
    DONE = "there"
    """The process is hit before the answer arrives."""
    LATE = "late"
    """Past the lease."""


_PENDING = [
    *itertools.product((Aim.COMPLETE, Aim.COUNT), Moment),
    (Aim.DECLARE, Moment.DONE),
    (Aim.COMMIT, Moment.NEVER),
]
"""Between intent and commit: who comes next finds something half done. Twice as often as anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """One process is hit once."""

    at: float
    """When, at the earliest, on the scale of the run."""
    way: Way
    aim: Aim | None
    """None: at any moment."""
    moment: Moment
    seconds: float
    """How long it is dead, or stopped."""


def late(failover: float) -> float:
    """Seconds after which another worker has the lease, and goes on."""
    return failover + 1.5


def plan_blows(
    seed: int, *, victims: int, count: int, span: float, failover: float, ways: Sequence[Way]
) -> Sequence[Sequence[Blow]]:
    """`count` blows over `span`, dealt to the victims in turn; each meets every step, and way, before all come again.

    `failover` is in seconds: who is stopped is so for longer than that, who is dead for less.
    """
    chance = random.Random(seed)
    planned: list[list[Blow]] = [[] for _ in range(victims)]
    decks = [itertools.cycle(_shuffled(chance)) for _ in range(victims)]
    hands = [itertools.cycle(chance.sample(ways, len(ways))) for _ in range(victims)]
    for number in range(count):
        victim = number % victims
        aim, moment = next(decks[victim])
        way = next(hands[victim])
        away = (late(failover) + 0.5, late(failover) + 2) if way is Way.STOP else (0.1, failover)
        planned[victim].append(
            Blow(
                at=span * (number + chance.random()) / count,
                way=way,
                aim=aim if chance.random() < AIMED else None,
                moment=moment,
                seconds=chance.uniform(*away),
            )
        )
    return planned


def _shuffled(chance: random.Random) -> list[tuple[Aim, Moment]]:
    deck = [*itertools.product(Aim, Moment), *_PENDING]
    chance.shuffle(deck)
    return deck
