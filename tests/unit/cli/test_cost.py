import json
import math
import re
from pathlib import Path

import pytest

from cli.cost.app import RATES, bill_rows
from cli.cost.bill import bill
from cli.cost.formula import evaluate
from cli.cost.inputs import INPUTS, MEASURED, RESULTS, read_changes, starting_values
from cli.cost.sheet import LINES, STEPS, Part
from headrace.errors import ConfigError

ROOT = Path(__file__).parents[3]
SHOWN = {"ceil": math.ceil, "max": max, "min": min, "__builtins__": {}}
"""What a reader has who takes a formula as Python."""


def test_every_number_follows_from_the_numbers_above_it_by_the_formula_that_is_shown() -> None:
    for rate in RATES:
        found = bill(rate, starting_values())
        for step in STEPS:
            assert found.values[step.name] == pytest.approx(eval(step.formula, SHOWN, dict(found.values)))
        for charge in found.charges:
            assert charge.month == pytest.approx(eval(charge.line.formula, SHOWN, dict(found.values)))


def test_every_input_is_used_and_no_name_stands_for_two_things() -> None:
    used = set(re.findall(r"\b[a-z_]\w*", " ".join(each.formula for each in (*STEPS, *LINES)))) - SHOWN.keys()
    given = [each.name for each in INPUTS] + [step.name for step in STEPS]
    assert len(set(given)) == len(given)
    assert {each.name for each in INPUTS} <= used
    assert used <= {*given, "rate"}


def test_what_is_measured_stands_in_the_results_of_the_bench() -> None:
    rows = {row["name"]: row["headrace"] for row in json.loads(RESULTS.read_text())}
    values = starting_values()
    assert {each.name: values[each.name] for each in MEASURED} == {each.name: rows[each.row] for each in MEASURED}


def test_counter_items_by_the_formula_are_those_of_a_real_batch() -> None:
    rows = {row["name"]: row["headrace"] for row in json.loads(RESULTS.read_text())}
    values = bill(10_000, starting_values()).values
    assert values["batch_events"] == 40_000  # as many as bench.footprint takes
    assert values["batch_items"] == pytest.approx(rows["cost_counter_items"], rel=0.01)


def test_what_is_assumed_of_the_template_is_in_it() -> None:
    template = (ROOT / "deploy/ecs/headrace.yaml").read_text()
    values = starting_values()
    for name, parameter in (
        ("least_shards", "Shards"),
        ("stats_tasks", "StatsApiTasks"),
        ("retention_hours", "StreamRetentionHours"),
        ("manifest_days", "IntentsDays"),
        ("log_days", "LogDays"),
    ):
        default = re.search(rf"^  {parameter}:\n(?:    .*\n)*?    Default: (\d+)$", template, re.MULTILINE)
        assert default is not None, parameter
        assert values[name] == int(default[1]), parameter
    assert values["alarms"] == template.count("Type: AWS::CloudWatch::Alarm\n")
    assert values["secrets"] == template.count("Type: AWS::SecretsManager::Secret\n")


def test_a_million_events_cost_less_the_more_there_are() -> None:
    found = [bill(rate, starting_values()) for rate in RATES]
    per_million = [each.per_million(each.total) for each in found]
    assert per_million == sorted(per_million, reverse=True)


def test_the_parts_add_up_to_the_total() -> None:
    found = bill(1_000, starting_values())
    rows = list(bill_rows(found))
    assert float(str(rows[-1][3])) == round(found.total, 2)
    assert sum(float(str(row[3])) for row in rows if row[2] == "total") == pytest.approx(found.total, abs=0.05)
    assert {row[1] for row in rows} == {*Part, "total"}


def test_a_price_twice_as_high_doubles_its_lines_and_no_other() -> None:
    plain = bill(1_000, starting_values())
    dearer = bill(1_000, starting_values(changes={"shard_hour": 0.03}))
    for before, after in zip(plain.charges, dearer.charges, strict=True):
        factor = 2 if before.line.item == "Kinesis: shards" else 1
        assert after.month == pytest.approx(factor * before.month)


@pytest.mark.parametrize(
    ("changes", "item", "quantity", "expected"),
    [
        ({"record_bytes": 500}, "shards", "shards", 15),  # 10,000 records, 1,000 a shard, of which 0.7
        ({"record_bytes": 2000}, "bytes", "shards", 28),  # 20 MB, 1 MiB a shard, of which 0.7
        ({"record_bytes": 500, "aggregated": 1}, "bytes alone", "shards", 7),
        ({"record_bytes": 26_000, "shards": 1}, "units", "put_units", 2 * 10_000 * 730 * 3600),
        (
            {"transformer_us": 119, "counter_us": 0, "transformer_idle": 0},
            "CPU",
            "transformer_tasks",
            4,
        ),  # 1.19 of 0.3 each
    ],
)
def test_a_quantity_is_what_one_works_out_by_hand(
    changes: dict[str, float], item: str, quantity: str, expected: float
) -> None:
    assert bill(10_000, starting_values(changes=changes)).values[quantity] == expected, item


def test_a_step_can_be_set_like_an_input() -> None:
    found = bill(100, starting_values(changes={"shards": 7}))
    assert next(charge.month for charge in found.charges if charge.line.item == "Kinesis: shards") == pytest.approx(
        7 * 730 * 0.015
    )


@pytest.mark.parametrize(
    ("rate", "changes", "told"),
    [
        (100, {"sharts": 7}, "nothing is called sharts"),
        (0, {}, "must be more than 0"),
        (100, {"batch_age": 0}, "division by zero"),
    ],
)
def test_numbers_that_make_no_sense_are_wrong_configuration(rate: float, changes: dict[str, float], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        bill(rate, starting_values(changes=changes))


def test_results_that_lack_a_row_say_which_and_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("[]")
    with pytest.raises(ConfigError, match="has no row cost_poller_cpu: run make bench"):
        starting_values(tmp_path / "results.json")
    with pytest.raises(ConfigError, match="holds no results"):
        starting_values(tmp_path / "none.json")


def test_a_file_of_inputs_holds_numbers_only(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text("shard_hour = 0.018\nproducts = 300\n")
    assert read_changes(file) == {"shard_hour": 0.018, "products": 300}
    file.write_text("shard_hour = 'free'\n")
    with pytest.raises(ConfigError, match="shard_hour is no number"):
        read_changes(file)


@pytest.mark.parametrize("text", ["__import__('os')", "a.b", "[1]", "max(1, key=2)", "'1'", "a if b else c", "-a"])
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(SyntaxError):
        evaluate(text, {"a": 1, "b": 2, "c": 3})
