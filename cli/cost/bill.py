"""Inputs → quantities → dollars. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cli.cost.formula import evaluate
from cli.cost.inputs import INPUTS
from cli.cost.sheet import LINES, STEPS, Line, Part
from headrace.errors import ConfigError

RATE = "rate"
"""The one input that has no default: events a second, on average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A line of the bill and what it comes to."""

    line: Line
    month: float
    """Dollars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A month at one rate."""

    rate: float
    values: Mapping[str, float]
    """Every input and every step, by name."""
    charges: Sequence[Charge]

    @property
    def total(self) -> float:
        """Dollars a month."""
        return sum(charge.month for charge in self.charges)

    def of(self, *parts: Part) -> float:
        """Dollars a month of some parts."""
        return sum(charge.month for charge in self.charges if charge.line.part in parts)

    def per_million(self, dollars: float) -> float:
        """Dollars a month → dollars per million events."""
        return dollars / self.values["events"] * 1e6


def bill(rate: float, inputs: Mapping[str, float]) -> Bill:
    """What a month at `rate` events a second costs. A step that stands among the inputs is taken from there.

    Raises `ConfigError` for an input that no formula knows, and for numbers that no formula can take.
    """
    known = {each.name for each in INPUTS} | {step.name for step in STEPS}
    if unknown := sorted(inputs.keys() - known):
        raise ConfigError([f"nothing is called {name}" for name in unknown])
    if rate <= 0:
        raise ConfigError([f"a rate of {rate:g} events a second: must be more than 0"])
    values = {RATE: rate, **inputs}
    for step in STEPS:
        if step.name not in inputs:
            values[step.name] = evaluate(step.formula, values)
    charges = [Charge(line=line, month=evaluate(line.formula, values)) for line in LINES]
    return Bill(rate=rate, values=values, charges=charges)
