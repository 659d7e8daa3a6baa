"""The task definitions that stand alone: those of the template, and what ECS takes."""

import json
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from deploy.ecs import template
from deploy.ecs.task_definitions import files

FOLDER = Path(__file__).parents[4] / "deploy" / "ecs" / "task_definitions"
WRITTEN = {path.name: path.read_text() for path in sorted(FOLDER.iterdir())}


@pytest.fixture(scope="module")
def argument() -> Any:
    """What RegisterTaskDefinition takes, by botocore's model."""
    return botocore.session.get_session().get_service_model("ecs").operation_model("RegisterTaskDefinition").input_shape


def test_they_are_those_of_the_template() -> None:
    assert files(template.load()) == WRITTEN, "run: make docs; delete what is no more"


@pytest.mark.parametrize("name", WRITTEN)
def test_ecs_takes_them(name: str, argument: Any) -> None:
    report = ParamValidator().validate(json.loads(WRITTEN[name]), argument)
    assert not report.has_errors(), report.generate_report()


def test_ecs_takes_no_other_spelling(argument: Any) -> None:
    definition = json.loads(WRITTEN["transformer.json"])
    definition["containerDefinitions"][0]["StopTimeout"] = definition["containerDefinitions"][0].pop("stopTimeout")
    assert "StopTimeout" in ParamValidator().validate(definition, argument).generate_report()


def test_only_account_and_region_stay_open() -> None:
    for text in WRITTEN.values():
        assert "${" not in text.replace("${AccountId}", "").replace("${Region}", "")


def test_a_function_that_is_not_known_is_no_value() -> None:
    defaults = template.Defaults({"Parameters": {}, "Conditions": {}, "Resources": {}})
    with pytest.raises(ValueError, match=r"no value for Fn::Base64 of 'x'"):
        defaults.resolve({"Fn::Base64": "x"})


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"Fn::Sub": "${Prefix}/a/${AWS::Region}"}, "shop-1/a/${Region}"),
        ({"Fn::Join": ["_", {"Fn::Split": ["-", {"Ref": "Prefix"}]}]}, "shop_1"),
        ({"Fn::If": ["Named", "yes", "no"]}, "yes"),
        ({"Fn::If": ["Both", "yes", "no"]}, "no"),
        ([1, {"Ref": "AWS::NoValue"}, {"a": {"Ref": "AWS::NoValue"}}], [1, {}]),
        ({"Fn::GetAtt": ["StatsApiRole", "Arn"]}, "arn:aws:iam::${AccountId}:role/shop-1-stats-api"),
    ],
)
def test_functions_come_to_what_their_parameters_say_by_default(value: Any, found: Any) -> None:
    named: dict[str, Any] = {"Fn::Equals": [{"Ref": "Prefix"}, "shop-1"]}
    defaults = template.Defaults({
        "Parameters": {"Prefix": {"Default": "shop-1"}},
        "Conditions": {"Named": named, "Both": {"Fn::And": [{"Condition": "Named"}, {"Fn::Not": [named]}]}},
        "Resources": {"StatsApiRole": {"Type": "AWS::IAM::Role", "Properties": {}}},
    })  # fmt: skip
    assert defaults.resolve(value) == found
