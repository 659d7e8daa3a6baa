"""Metrics, their documentation and the alerts on them name the same things."""

import re
from pathlib import Path

import pytest
import yaml

from headrace.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[3]
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
RULES = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8"))
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
METRICS = Metrics()
FAMILIES = {family.name: family for family in METRICS.registry.collect() if family.name.startswith("headrace_")}
EXPOSED = {family.name + ("_total" if family.type == "counter" else "") for family in FAMILIES.values()}
SOURCES = "".join(
    path.read_text(encoding="utf-8") for part in ("libs", "services", "jobs") for path in (ROOT / part).rglob("*.py")
)


@pytest.mark.parametrize("attribute", sorted(name for name in vars(METRICS) if name != "registry"))
def test_every_metric_that_is_declared_is_used(attribute: str) -> None:
    assert re.search(rf"metrics\.{attribute}\b", SOURCES), f"nothing sets {attribute}"


def test_every_metric_is_documented_and_every_documented_one_exists() -> None:
    table = OPERATIONS[OPERATIONS.index("## What to watch") : OPERATIONS.index("## Containers")]
    assert set(re.findall(r"headrace_[a-z_]+[a-z]", table)) == EXPOSED


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_every_alert_asks_for_metrics_that_exist_and_has_a_runbook(alert: dict[str, str]) -> None:
    asked = {re.sub("_bucket$", "", name) for name in re.findall(r"headrace_[a-z_]+[a-z]", alert["expr"])}
    assert asked <= EXPOSED
    assert f"### {alert['alert']}\n" in OPERATIONS
