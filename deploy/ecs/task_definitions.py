"""Task definitions of `headrace.yaml` as files for `aws ecs register-task-definition`. Pure.

Parameters have their defaults, names are those that a stack with them would give, and what differs from account to
account stays open: `${AccountId}` and `${Region}`. Roles are called after services and jobs: `headrace-transformer`.
`make docs` writes the files, `python scripts/generate_docs.py --check` compares.
"""

import json
from collections.abc import Mapping
from typing import Any

from deploy.ecs.template import Defaults

KIND = "AWS::ECS::TaskDefinition"


def task_definitions(template: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Arguments of RegisterTaskDefinition by name: `transformer` and so on."""
    defaults = Defaults(template)
    resources = template["Resources"].values()
    found = (defaults.resolve(each["Properties"]) for each in resources if each["Type"] == KIND)
    return {each["ContainerDefinitions"][0]["Name"]: _as_argument(each) for each in found}


def files(template: Mapping[str, Any]) -> dict[str, str]:
    """The files' contents, by name."""
    return {
        f"{name}.json": json.dumps(argument, indent=2, ensure_ascii=False) + "\n"
        for name, argument in task_definitions(template).items()
    }


def _as_argument(value: Any) -> Any:
    """CloudFormation says `StopTimeout` where ECS says `stopTimeout`; keys that are data begin with a small letter."""
    match value:
        case dict():
            return {key[0].lower() + key[1:]: _as_argument(each) for key, each in value.items()}
        case list():
            return [_as_argument(each) for each in value]
    return value
