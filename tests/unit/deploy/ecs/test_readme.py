"""The README of the template says what the template has."""

import re
from pathlib import Path

import pytest

from deploy.ecs.template import load

FOLDER = Path(__file__).parents[4] / "deploy" / "ecs"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
DEPLOYMENTS = re.findall(r"deploy (\w+) \"[^\"]+\" ([^`\n]+)", README)


@pytest.mark.parametrize(("template", "arguments"), DEPLOYMENTS)
def test_a_deployment_names_parameters_that_exist(template: str, arguments: str) -> None:
    named = set(re.findall(r"(\w+)=", arguments))
    assert named <= set(load(FOLDER / f"{template}.yaml")["Parameters"])


def test_parameters_in_the_text_and_outputs_that_are_asked_for_exist() -> None:
    headrace = load()
    named = set(re.findall(r"`([A-Z][a-z]\w+)(?:=[\w.]+)?`", README))
    assert named <= set(headrace["Parameters"]) | set(load(FOLDER / "load_balancer.yaml")["Outputs"])
    assert set(re.findall(r"\$\(output (\w+)\)", README)) <= set(headrace["Outputs"])


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", README))))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (FOLDER / link).exists()
