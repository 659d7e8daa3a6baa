"""Alarms and dashboard of the template: they ask for what is published, tell somebody, and have a runbook."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.ecs.template import load
from headrace.telemetry.published import PUBLISHED, How

ROOT = Path(__file__).parents[4]
STATISTICS = {
    How.RISE: {"Sum"},
    How.PERCENT: {"Average"},
    How.MOST: {"Maximum", "SampleCount"},
    How.AGE: {"Maximum"},
    How.STILL: {"Maximum"},
    How.QUANTILE: {"Maximum"},
}
"""What makes sense over the lines of several processes."""

TEMPLATE = load()
RESOURCES: Mapping[str, Any] = TEMPLATE["Resources"]
ALARMS = {name: it["Properties"] for name, it in RESOURCES.items() if it["Type"] == "AWS::CloudWatch::Alarm"}
OURS = {name: it for name, it in ALARMS.items() if it["Namespace"] == {"Ref": "Prefix"}}
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
RULES = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8"))
WIDGETS = json.loads(RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])["widgets"]


def section_of(alarm: Mapping[str, Any]) -> str:
    found = re.search(r"docs/operations\.md#(\w+)$", alarm["AlarmDescription"])
    assert found, alarm["AlarmDescription"]
    return found[1]


def test_runbook_sections_are_those_of_alarms_and_of_prometheus_alerts() -> None:
    sections = {name.lower() for name in re.findall(r"^### (Headrace\w+)$", OPERATIONS, re.MULTILINE)}
    of_alerts = {str(rule["alert"]).lower() for group in RULES["groups"] for rule in group["rules"]}
    assert sections == of_alerts | set(map(section_of, ALARMS.values()))


def test_every_prometheus_alert_is_an_alarm_too() -> None:
    alerts = {str(rule["alert"]).lower() for group in RULES["groups"] for rule in group["rules"]}
    assert alerts <= set(map(section_of, ALARMS.values()))


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_says_how_urgent_it_is_and_tells_the_failure_topic(name: str) -> None:
    alarm = ALARMS[name]
    assert re.match(r"(page|ticket) - ", alarm["AlarmDescription"])
    assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "FailureTopic"}]
    assert alarm["AlarmName"]["Fn::Sub"].startswith("${Prefix}-")


@pytest.mark.parametrize("name", OURS)
def test_an_alarm_asks_for_a_metric_that_its_service_publishes_in_a_way_that_makes_sense(name: str) -> None:
    alarm = OURS[name]
    [dimension] = alarm["Dimensions"]
    assert dimension["Name"] == "service"
    published = {each.called: each.how for each in PUBLISHED[dimension["Value"]]}
    assert alarm["Statistic"] in STATISTICS[published[alarm["MetricName"]]]


@pytest.mark.parametrize("name", OURS)
def test_silence_is_an_alarm_only_where_it_is_looked_for(name: str) -> None:
    looks_for_silence = OURS[name]["Statistic"] == "SampleCount"
    assert (OURS[name]["TreatMissingData"] == "breaching") == looks_for_silence
    assert ("Condition" in RESOURCES[name]) or not looks_for_silence  # nobody runs: nobody is missed


def test_every_service_that_stays_is_missed_when_it_is_silent() -> None:
    missed = {it["Dimensions"][0]["Value"] for it in OURS.values() if it["Statistic"] == "SampleCount"}
    assert missed == {"api_consumer", "transformer", "partitioner", "stats_api"}


def test_lag_is_measured_against_a_quarter_of_whatever_the_stream_keeps() -> None:
    hours = TEMPLATE["Parameters"]["StreamRetentionHours"]["AllowedValues"]
    quarters = TEMPLATE["Mappings"]["QuarterOfRetention"]
    assert {int(text): row["Seconds"] for text, row in quarters.items()} == {each: each * 900 for each in hours}


def test_whoever_publishes_has_the_namespace_of_alarms_and_dashboard() -> None:
    having = {
        container["Name"]
        for it in RESOURCES.values()
        if it["Type"] == "AWS::ECS::TaskDefinition"
        for container in it["Properties"]["ContainerDefinitions"]
        if {"Name": "HEADRACE_CLOUDWATCH_NAMESPACE", "Value": {"Ref": "Prefix"}} in container["Environment"]
    }
    assert having == {service.replace("_", "-") for service in PUBLISHED}


@pytest.mark.parametrize("widget", WIDGETS, ids=lambda widget: str(widget["properties"]["title"]))
def test_a_widget_shows_what_is_published(widget: dict[str, Any]) -> None:
    shown = widget["properties"]
    for metric in shown["metrics"]:
        namespace, name, dimension, value = metric[:4]
        options = metric[-1] if isinstance(metric[-1], dict) else {}
        if namespace != "${Prefix}":
            assert namespace.startswith("AWS/")
            continue
        assert dimension == "service"
        how = {each.called: each.how for each in PUBLISHED[value]}[name]
        assert options.get("stat", shown["stat"]) in STATISTICS[how]


def test_everything_that_is_published_and_costs_is_watched() -> None:
    asked = {(it["Dimensions"][0]["Value"], it["MetricName"]) for it in OURS.values()}
    asked |= {
        (metric[3], metric[1])
        for widget in WIDGETS
        for metric in widget["properties"]["metrics"]
        if metric[0] == "${Prefix}"
    }
    published = {(service, each.called) for service, table in PUBLISHED.items() for each in table}
    assert published == asked


def test_no_two_widgets_share_a_place() -> None:
    places = {(widget["x"], widget["y"]) for widget in WIDGETS}
    assert len(places) == len(WIDGETS)
    assert all((x % 8, y % 6) == (0, 0) and x < 24 for x, y in places)
