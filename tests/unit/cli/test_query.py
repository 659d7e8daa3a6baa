import pytest
import typer

from cli.query import statement_of


def test_a_statement_goes_through_as_it_is() -> None:
    assert statement_of("SELECT ':x'", None, None, None, []) == "SELECT ':x'"


def test_a_named_query_takes_days_and_parameters() -> None:
    params = ["limit=3", "category=a=b"]
    statement = statement_of(None, "top_products", "2026-04-01", "2026-04-09", params, table="clicks")
    assert 'FROM "clicks"' in statement
    assert "day BETWEEN '01' AND '09'" in statement
    assert "LIKE 'a=b'" in statement
    assert statement.rstrip().endswith("LIMIT 3")


@pytest.mark.parametrize(
    ("sql", "name", "first", "params", "told"),
    [
        (None, None, None, [], "either a statement or --name"),
        ("SELECT 1", "top_products", None, [], "either a statement or --name"),
        ("SELECT 1", None, "2026-04-09", [], "go with --name"),
        ("SELECT 1", None, None, ["a=b"], "go with --name"),
        (None, "nothing", None, [], "there are category_daily_performance"),
        (None, "top_products", "yesterday", [], "is no day"),
        (None, "top_products", None, ["limit"], "must look like k=v"),
        (None, "top_products", None, ["limit=1", "limit=2"], "given twice"),
        (None, "top_products", "2026-04-09", ["from=2026-04-09"], "given twice"),
        (None, "top_products", None, ["colour=red"], "no parameter colour"),
    ],
)
def test_what_makes_no_sense_is_bad_usage(
    sql: str | None, name: str | None, first: str | None, params: list[str], told: str
) -> None:
    with pytest.raises(typer.BadParameter, match=told) as raised:
        statement_of(sql, name, first, None, params)
    assert raised.value.exit_code == 2
