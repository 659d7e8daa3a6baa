"""Conditions that only look at partition keys: they are decided on the partitions' values, before anything is read.

DuckDB hands a scan what compares one column with constants. `year > '2026' OR (year = '2026' AND month >= '04')`, or
`concat(year, month) >= '202604'`, it keeps to itself; Athena asks such a condition about each partition.
"""

from collections.abc import Collection

from sqlglot import exp

_RANDOM = frozenset({"rand", "random", "uuid"})
"""Asked twice they answer differently."""


def condition_on(reference: exp.Table, keys: Collection[str]) -> exp.Expr | None:
    """What the query around a table asks of its partition keys alone, with bare names; None for nothing.

    Only where that table is all that is selected from, so that a name can mean nothing else. `keys` in lower case.
    """
    select = reference.parent_select
    if not keys or not isinstance(select, exp.Select) or select.args.get("joins") or select.args.get("laterals"):
        return None
    clause, source = select.args.get("where"), select.args.get("from_")
    if clause is None or source is None or source.this is not reference or reference.args.get("joins"):
        return None
    condition = clause.this.unnest()
    parts = condition.flatten() if isinstance(condition, exp.And) else [condition]
    found = [part.transform(_bare) for part in parts if _asks_of(part, reference.alias_or_name.lower(), keys)]
    return exp.and_(*found, copy=False) if found else None


def _asks_of(condition: exp.Expr, table: str, keys: Collection[str]) -> bool:
    columns = list(condition.find_all(exp.Column))
    return (
        bool(columns)
        and all(column.table.lower() in {"", table} and column.name.lower() in keys for column in columns)
        and condition.find(exp.Query) is None
        and not any(call.name.lower() in _RANDOM for call in condition.find_all(exp.Anonymous))
    )


def _bare(node: exp.Expr) -> exp.Expr:
    return exp.column(node.name.lower(), quoted=True) if isinstance(node, exp.Column) else node
