"""Alerts and dashboard, and the metrics there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from headrace.telemetry.metrics import Metrics

DEPLOY = Path(__file__).parents[3] / "deploy"


def alerts() -> list[dict[str, object]]:
    rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
    return [rule for group in rules["groups"] for rule in group["rules"]]


def dashboard_expressions() -> Iterator[str]:
    for panel in json.loads((DEPLOY / "grafana/dashboards/headrace.json").read_text())["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def exposed() -> set[str]:
    """Names as Prometheus stores them."""
    names = set()
    for family in Metrics().registry.collect():
        names |= {
            "counter": {f"{family.name}_total"},
            "histogram": {f"{family.name}_{part}" for part in ("bucket", "sum", "count")},
        }.get(family.type, {family.name})
    return names


@pytest.mark.parametrize("expression", [*(str(rule["expr"]) for rule in alerts()), *dashboard_expressions()])
def test_an_expression_asks_for_metrics_that_exist(expression: str) -> None:
    asked = set(re.findall(r"\b(?:headrace|process)_\w+", expression))
    assert asked <= exposed()
    assert asked or "up{" in expression


def test_no_two_panels_share_an_id_or_a_place() -> None:
    taken: set[tuple[int, int]] = set()
    panels = json.loads((DEPLOY / "grafana/dashboards/headrace.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
