"""DuckDB's errors → Athena's."""

import contextlib
import re
from collections.abc import Iterator

import duckdb
import pyarrow as pa

from deploy.local.athena.errors import QueryFailedError


class CancelledError(QueryFailedError):
    """The query was stopped while it ran."""


@contextlib.contextmanager
def failures() -> Iterator[None]:
    """DuckDB's errors → `QueryFailedError`, worded as Athena words them where it has a word."""
    try:
        yield
    except duckdb.InterruptException as error:
        raise CancelledError("Query cancelled by user") from error
    except (duckdb.Error, pa.ArrowException, OSError) as error:  # as Arrow, DuckDB's errors come as OSError
        if "INTERRUPT" in str(error):
            raise CancelledError("Query cancelled by user") from error
        raise QueryFailedError(_reason(error)) from error


def _reason(error: Exception) -> str:
    message = str(error).split("\n\n", maxsplit=1)[0].strip()
    text = message.partition(": ")[2] or message
    if match := re.search(r"(?:HIVE_|INVALID_FUNCTION_ARGUMENT)[^\n]*", text):
        return match[0]
    if match := re.search(r'Referenced column "([^"]+)" not found', text):
        return f"COLUMN_NOT_FOUND: line 1:1: Column '{match[1]}' cannot be resolved"
    if "Division by zero" in text or "value inf to DECIMAL" in text:
        return "DIVISION_BY_ZERO: / by zero"
    for kind, words, code in _CODES:
        if isinstance(error, kind) or message.startswith(words):
            return f"{code}: {text}"
    return f"GENERIC_INTERNAL_ERROR: {text}"


_CODES: tuple[tuple[type[duckdb.Error], str, str], ...] = (
    (duckdb.CatalogException, "Catalog Error", "FUNCTION_NOT_FOUND"),
    (duckdb.BinderException, "Binder Error", "SYNTAX_ERROR"),
    (duckdb.ParserException, "Parser Error", "SYNTAX_ERROR"),
    (duckdb.ConversionException, "Conversion Error", "INVALID_CAST_ARGUMENT"),
    (duckdb.OutOfRangeException, "Out of Range Error", "NUMERIC_VALUE_OUT_OF_RANGE"),
    (duckdb.OutOfMemoryException, "Out of Memory Error", "EXCEEDED_MEMORY_LIMIT"),
    (duckdb.InvalidInputException, "Invalid Input Error", "INVALID_FUNCTION_ARGUMENT"),
    (duckdb.NotImplementedException, "Not implemented Error", "NOT_SUPPORTED"),
)
"""DuckDB's errors by class, by the words they start with, and Athena's code for them."""
