"""How a table follows the schema: which columns it lacks, and where the two disagree. Pure."""

from collections.abc import Mapping, Sequence

from headrace.errors import ConfigError
from headrace.events.schema import PARTITION_KEYS, Column, Kind


def missing_columns(table: str, there: Mapping[str, str], wanted: Sequence[Column]) -> list[Column]:
    """The columns to add to a table that has the columns `there` (name → type), in the schema's order.

    Columns that only the table has are left alone. Raises `ConfigError` with a line for each column of another type,
    and for each partition key that the table lacks: both take a new table.
    """
    problems = [
        f"column {name} of {table} is {there[name]}, the schema says {kind}: use another ATHENA_TABLE, or drop this one"
        for name, kind in [*((it.name, it.kind) for it in wanted), *((key, Kind.STRING) for key in PARTITION_KEYS)]
        if name in there and _bare(there[name]) != kind
    ]
    problems += [
        f"{table} is not partitioned by {key}: use another ATHENA_TABLE, or drop this one"
        for key in PARTITION_KEYS
        if key not in there
    ]
    if problems:
        raise ConfigError(problems)
    return [column for column in wanted if column.name not in there]


def described_columns(lines: Sequence[str]) -> dict[str, str]:
    """The lines of a DESCRIBE → name → type, partition keys included.

    A line is name, type and comment, padded with spaces and parted by tabs; sections follow an empty line.
    """
    found: dict[str, str] = {}
    for line in lines:
        name, _, rest = line.partition("\t")
        kind = rest.partition("\t")[0].strip()
        if name.strip() and kind and not name.startswith("#"):
            found.setdefault(name.strip(), kind)
    return found


def _bare(kind: str) -> str:
    return "".join(kind.split()).lower()
