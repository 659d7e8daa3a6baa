"""What Prometheus makes of deploy/prometheus, and of the services as they run."""

import json
import re
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.compose.stack import ROOT, SERVICES, Stack, eventually, run
from tests.conftest import wait_for_http

CONFIGURATION = ROOT / "deploy/prometheus"
DASHBOARD = ROOT / "deploy/grafana/dashboards/headrace.json"
QUIET = re.compile(r"rejected|dead_letter|deduplicated|lease_lost|cas_conflicts|aws_retries|catalog_failures")
"""What only shows something when something is wrong."""


def test_promtool_finds_nothing_wrong_with_configuration_and_alerts(tmp_path: Path) -> None:
    shutil.copytree(CONFIGURATION, tmp_path, dirs_exist_ok=True)
    shutil.copy(Path(__file__).with_name("alerts_test.yml"), tmp_path)
    run(["promtool", "check", "config", str(tmp_path / "prometheus.yml")])
    assert "SUCCESS" in run(["promtool", "test", "rules", str(tmp_path / "alerts_test.yml")])


@pytest.fixture
def prometheus(stack: Stack, tmp_path: Path) -> Iterator[str]:
    """The URL of a Prometheus with the repository's configuration, but for the places where the targets are."""
    shutil.copytree(CONFIGURATION, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "prometheus.yml"
    text = file.read_text().replace("scrape_interval: 5s", "scrape_interval: 1s")
    for service, port in SERVICES.items():
        assert f"{service}:{port}" in text
        text = text.replace(f'"{service}:{port}"', f'"{stack.address(service)}"')
    file.write_text(text)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={file}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address={address}",
            "--log.level=warn",
        ]
    )
    try:
        wait_for_http(f"http://{address}/-/ready", process)
        yield f"http://{address}/api/v1"
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_every_target_is_up_every_rule_holds_and_the_dashboard_has_something_to_show(prometheus: str) -> None:
    def health() -> dict[str, str]:
        targets = ask(f"{prometheus}/targets")["activeTargets"]
        return {target["labels"]["job"]: target["health"] for target in targets}

    eventually(health, lambda found: found == dict.fromkeys(SERVICES, "up"))

    def rules() -> set[tuple[str, str]]:
        groups = ask(f"{prometheus}/rules")["groups"]
        return {(rule["health"], rule["state"]) for group in groups for rule in group["rules"]}

    eventually(rules, lambda found: found == {("ok", "inactive")})
    panels = json.loads(DASHBOARD.read_text())["panels"]
    expressions = {
        target["expr"].replace("$__rate_interval", "30s") for panel in panels for target in panel.get("targets", ())
    }

    def without_answer() -> set[str]:
        return {
            expression
            for expression in expressions
            if not ask(f"{prometheus}/query?{urlencode({'query': expression})}")["result"]
        }

    eventually(without_answer, lambda silent: all(map(QUIET.search, silent)))


def ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as response:
        answer = json.load(response)
    assert answer["status"] == "success"
    return answer["data"]
