"""The tables of docs/cost.md: the same numbers as `headrace cost` prints, at three rates side by side."""

from collections.abc import Iterable, Mapping, Sequence

from cli.cost.app import RATES
from cli.cost.bill import Bill, bill
from cli.cost.inputs import ASSUMED, FROM_CODE, MEASURED, PRICES, RULES, Input, starting_values
from cli.cost.sheet import LINES, STEPS, Part

LEVERS: Sequence[tuple[str, Mapping[str, float]]] = (
    ("as above", {}),
    ("a shop of 240 products in place of 2,000", {"products": 240}),
    ("a shop of 20,000", {"products": 20_000}),
    ("batches of five minutes", {"batch_age": 300}),
    ("many events in one record of the stream", {"aggregated": 1}),
    ("a stream that keeps a day", {"retention_hours": 24}),
    ("the stream on demand", {"stream_on_demand": 1}),
    ("provisioned capacity for counts", {"counters_provisioned": 1}),
    ("private subnets, nine interface endpoints in two zones", {"addresses": 0, "endpoints": 18}),
    (
        "240 products, five minutes, many events in a record, a day, provisioned",
        {"products": 240, "batch_age": 300, "aggregated": 1, "retention_hours": 24, "counters_provisioned": 1},
    ),
)
"""Changes to inputs, and what to call them."""
WHOLE = 1000
"""From here on decimals tell nothing."""
PEERS: Sequence[tuple[float, str, str, tuple[Part, ...]]] = (
    (100, "Snowplow, hosted by oneself", "about $200", tuple(Part)),
    (10_000, "AWS Clickstream Analytics, ingestion alone", "$528.80", (Part.TAKE_IN,)),
)
"""Rate, who, dollars a month as published, and the parts of ours that compare."""


def bill_table() -> str:
    """What each line comes to, its sums, and the formula."""
    found = _bills()
    rows = []
    for part in Part:
        for at, line in enumerate(LINES):
            dollars = [each.charges[at].month for each in found]
            if line.part is part and any(dollars):
                rows.append((line.item, *map(_dollars, dollars), f"`{line.formula}`"))
        rows.append((f"**{part}**", *(f"**{_dollars(each.of(part))}**" for each in found), ""))
    rows.append(("**a month**", *(f"**{_dollars(each.total)}**" for each in found), ""))
    per_million = (f"**{_dollars(each.per_million(each.total))}**" for each in found)
    rows.append(("**a million events**", *per_million, "`month / events * 1e6`"))
    return _table(("line", *_rates(found), "formula"), rows, numbers=slice(1, -1))


def step_table() -> str:
    """What happens, step by step."""
    found = _bills()
    rows = (
        (f"`{step.name}`", step.about, f"`{step.formula}`", *(_number(each.values[step.name]) for each in found))
        for step in STEPS
    )
    return _table(("name", "", "formula", *_rates(found)), rows, numbers=slice(-len(RATES), None))


def input_tables() -> str:
    """All inputs by where they come from."""
    values = starting_values()
    measured = _table(
        ("name", "", "value", "row of bench/results.json"),
        ((f"`{each.name}`", each.about, _number(values[each.name]), f"`{each.row}`") for each in MEASURED),
    )
    parts = ["### Measured by `make bench`, `batch_rate` by `make bench-batch`\n\n", measured]
    for title, inputs in (
        ("Fixed by the code", FROM_CODE),
        ("Assumed", ASSUMED),
        ("What AWS counts", RULES),
        ("Prices", PRICES),
    ):
        parts += [f"\n### {title}\n\n", _plain_inputs(inputs)]
    return "".join(parts)


def lever_table() -> str:
    """What one change does to the total."""
    rows = []
    for about, changes in LEVERS:
        found = _bills(changes)
        changed = ", ".join(f"`{name}={value:g}`" for name, value in changes.items())
        rows.append((about, changed, *(f"{_dollars(each.total)}" for each in found)))
    return _table(("a month, with", "`--set`", *_rates(_bills())), rows, numbers=slice(-len(RATES), None))


def peer_table() -> str:
    """Ours beside what others publish."""
    rows = []
    for rate, who, theirs, parts in PEERS:
        plain, lean = (bill(rate, starting_values(changes=changes)).of(*parts) for changes in ({}, LEVERS[-1][1]))
        rows.append((f"{rate:,.0f} events/s", who, theirs, _dollars(plain), _dollars(lean)))
    return _table(
        ("rate", "who", "published", "Headrace, as above", "… with the last row below"), rows, numbers=slice(2, None)
    )


def _bills(changes: Mapping[str, float] | None = None) -> list[Bill]:
    values = starting_values(changes=changes)
    return [bill(rate, values) for rate in RATES]


def _rates(found: Iterable[Bill]) -> list[str]:
    return [f"{each.rate:,.0f}/s" for each in found]


def _plain_inputs(inputs: Sequence[Input]) -> str:
    values = starting_values()
    return _table(
        ("name", "", "value"), ((f"`{each.name}`", each.about, _number(values[each.name])) for each in inputs)
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: slice = slice(0)) -> str:
    """Markdown; the columns of `numbers` are set to the right."""
    rules = ["---"] * len(head)
    rules[numbers] = ["---:"] * len(rules[numbers])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rules, *rows))


def _dollars(value: float) -> str:
    return f"{value:,.2f}"


def _number(value: float) -> str:
    """Whole numbers and large ones without decimals, others with four digits that count."""
    return f"{value:,.0f}" if value.is_integer() or value >= WHOLE else f"{value:.4g}"
