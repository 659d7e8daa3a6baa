"""The steps of a run, declared once. Each may run in a process of its own: what it needs is in the bucket."""

from collections.abc import Container
from dataclasses import dataclass
from enum import StrEnum

from headrace.errors import StopError


class Step(StrEnum):
    """A step by its name, in order."""

    PLAN = "plan"
    SILVER = "silver"
    GOLD = "gold"
    PUBLISH = "publish"
    REGISTER = "register"
    CLEAN = "clean"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What is known of a step before it runs."""

    step: Step
    about: str
    needs: Step | None
    """The step whose result it builds on."""


STEPS = (
    Declared(step=Step.PLAN, about="Find what is new in the sources.", needs=None),
    Declared(step=Step.SILVER, about="Make the days that change, in the work area.", needs=Step.PLAN),
    Declared(step=Step.GOLD, about="Make the gold tables, in the work area.", needs=Step.SILVER),
    Declared(step=Step.PUBLISH, about="Decide the run, and copy its files to their places.", needs=Step.GOLD),
    Declared(
        step=Step.REGISTER,
        about="Have tables, view and bookmarks follow.",
        needs=Step.PUBLISH,
    ),
    Declared(step=Step.CLEAN, about="Delete what no table names any more.", needs=None),
)
"""In the order in which a run takes them."""

_DECLARED = {each.step: each for each in STEPS}


class StepOrderError(StopError):
    """A step was asked for whose turn it is not."""


def declared(step: Step) -> Declared:
    """What is known of a step."""
    return _DECLARED[step]


def check_turn(step: Step, done: Container[Step]) -> None:
    """Raise `StepOrderError` when a step cannot run, since the one that it builds on is not done."""
    needs = _DECLARED[step].needs
    if needs is not None and needs not in done:
        raise StepOrderError(f"step {step} comes after {needs}: run `headrace job medallion {needs}` first")
