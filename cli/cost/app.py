"""`headrace cost`: a month on AWS at some rates, line by line."""

import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from cli.cost.bill import Bill, bill
from cli.cost.inputs import INPUTS, RESULTS, read_changes, starting_values
from cli.cost.sheet import STEPS, Part
from cli.output import Format, write_rows
from headrace.catalog.results import ResultColumn, Row

RATES = (100.0, 1_000.0, 10_000.0)
TOTAL = "total"

COLUMNS = [
    ResultColumn(name="rate", type="double"),
    ResultColumn(name="part", type="varchar"),
    ResultColumn(name="item", type="varchar"),
    ResultColumn(name="usd_month", type="decimal"),
    ResultColumn(name="usd_per_million", type="decimal"),
    ResultColumn(name="formula", type="varchar"),
]
VALUE_COLUMNS = [
    ResultColumn(name="rate", type="double"),
    ResultColumn(name="name", type="varchar"),
    ResultColumn(name="value", type="double"),
    ResultColumn(name="from", type="varchar"),
    ResultColumn(name="about", type="varchar"),
]


def cost(
    *,
    rate: Annotated[
        list[float] | None,
        typer.Option(metavar="EVENTS_PER_SECOND", help="On average; may be repeated. Default: 100, 1000 and 10000."),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=NUMBER", help="Another price, assumption or quantity; may be repeated."),
    ] = None,
    inputs: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file of such names; --set wins over it.")
    ] = None,
    results: Annotated[
        Path, typer.Option(metavar="FILE", help="What make bench measured.", show_default=False)
    ] = RESULTS,
    values: Annotated[
        bool, typer.Option("--values", help="The numbers that the formulas use, in place of the bill.")
    ] = False,
    style: Annotated[Format, typer.Option("--format", help="How the rows are printed.")] = Format.TABLE,
) -> None:
    """What a rate of events costs on AWS: dollars a month and per million events, line by line.

    Prices are those of us-east-1 without free tiers. CSV and JSON have each line's formula, --values what its names
    stand for; docs/cost.md explains them all.

    Example: [bold]headrace cost --rate 1000[/bold]

    Example: [bold]headrace cost --rate 5000 --set products=300 --set batch_age=300 --format json[/bold]
    """
    changes = {**(read_changes(inputs) if inputs else {}), **_parsed(change or [])}
    start = starting_values(results, changes)
    bills = [bill(each, start) for each in rate or RATES]
    if values:
        write_rows(VALUE_COLUMNS, [row for each in bills for row in value_rows(each)], style, sys.stdout)
        return
    width = len(COLUMNS) - 1 if style is Format.TABLE else len(COLUMNS)  # formulas are too long for a terminal
    rows = [row[:width] for each in bills for row in bill_rows(each)]
    write_rows(COLUMNS[:width], rows, style, sys.stdout)


def bill_rows(found: Bill) -> Iterator[Row]:
    """The lines that cost anything, the sum of each part, and the total."""
    for part in Part:
        charges = [charge for charge in found.charges if charge.line.part is part and charge.month]
        for charge in charges:
            yield _row(found, part, charge.line.item, charge.month, charge.line.formula)
        yield _row(found, part, TOTAL, found.of(part), "")
    yield _row(found, TOTAL, "", found.total, "")


def value_rows(found: Bill) -> Iterator[Row]:
    """Every number of the formulas: inputs, then steps."""
    for each in INPUTS:
        yield (_rate(found), each.name, found.values[each.name], each.row or each.kind, each.about)
    for step in STEPS:
        yield (_rate(found), step.name, round(found.values[step.name], 6), step.formula, step.about)


def _row(found: Bill, part: str, item: str, dollars: float, formula: str) -> Row:
    per_million = found.per_million(dollars)
    return (_rate(found), part, item, Decimal(f"{dollars:.2f}"), Decimal(f"{per_million:.4f}"), formula)


def _rate(found: Bill) -> float:
    """Without a decimal where there is none."""
    return int(found.rate) if found.rate == int(found.rate) else found.rate


def _parsed(texts: Sequence[str]) -> dict[str, float]:
    changes: dict[str, float] = {}
    for text in texts:
        name, equals, number = text.partition("=")
        try:
            changes[name] = float(number)
        except ValueError:
            equals = ""
        if not equals:
            raise typer.BadParameter(f"{text!r}: must look like name=1.5", param_hint="--set")
    return changes
