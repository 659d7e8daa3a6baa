"""`headrace.yaml` as plain values, and what its functions come to when every parameter has its default."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

HEADRACE = Path(__file__).parent / "headrace.yaml"

PSEUDO = {
    "AWS::AccountId": "${AccountId}",
    "AWS::Region": "${Region}",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}
"""What nobody knows before a deployment stays open, to be filled in by whoever reads."""

_NOTHING = object()
"""What AWS::NoValue comes to: what it stands for is left out."""

_NAMES = {
    "AWS::Athena::WorkGroup": "Name",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::ECS::Cluster": "ClusterName",
    "AWS::Kinesis::Stream": "Name",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
}
"""Resources whose Ref is their name, by type, and the property that has it."""

_ARNS = {
    "AWS::SNS::Topic": ("sns", "TopicName", ""),
    "AWS::SecretsManager::Secret": ("secretsmanager", "Name", "secret:"),
}
"""Resources whose Ref is their ARN: the service, the property that names them, and what stands before the name."""


class _Loader(yaml.CSafeLoader):
    """Reads `!Sub text` and the like as CloudFormation's long form, `{"Fn::Sub": "text"}`."""


def _function(loader: _Loader, name: str, node: yaml.Node) -> Mapping[str, Any]:
    argument: Any
    if isinstance(node, yaml.ScalarNode):
        argument = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        argument = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode), "there are no other nodes"
        argument = loader.construct_mapping(node, deep=True)
    if name == "GetAtt" and isinstance(argument, str):
        argument = argument.split(".", 1)
    return {name if name in {"Ref", "Condition"} else f"Fn::{name}": argument}


_Loader.add_multi_constructor("!", _function)


def load(path: Path = HEADRACE) -> dict[str, Any]:
    """A template with its functions spelt out."""
    found: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    return found


class Defaults:
    """What the values of a template come to when every parameter has its default.

    Knows the functions and resources that its task definitions name, and raises `ValueError` for any other.
    """

    def __init__(self, template: Mapping[str, Any]) -> None:
        self._parameters: Mapping[str, Any] = template["Parameters"]
        self._conditions: Mapping[str, Any] = template.get("Conditions", {})
        self._resources: Mapping[str, Any] = template["Resources"]

    def resolve(self, value: Any) -> Any:
        """`value` without functions."""
        match value:
            case {"Ref": name} if len(value) == 1:
                return self._ref(name)
            case dict() if len(value) == 1 and next(iter(value)).startswith("Fn::"):
                [(function, argument)] = value.items()
                return self._call(function.removeprefix("Fn::"), argument)
            case dict():
                resolved = {key: self.resolve(each) for key, each in value.items()}
                return {key: each for key, each in resolved.items() if each is not _NOTHING}
            case list():
                return [each for each in map(self.resolve, value) if each is not _NOTHING]
        return value

    def _call(self, function: str, argument: Any) -> Any:
        match function, argument:
            case "GetAtt", [name, attribute]:
                return self._attribute(name, attribute)
            case "Sub", str():
                return re.sub(r"\$\{([^}]+)\}", lambda found: str(self._named(found[1])), argument)
            case "If", [condition, then, otherwise]:
                return self.resolve(then if self._holds({"Condition": condition}) else otherwise)
            case "Join", [between, parts]:
                return between.join(self.resolve(parts))
            case "Split", [between, text]:
                return self.resolve(text).split(between)
        raise ValueError(f"no value for Fn::{function} of {argument!r}")

    def _named(self, name: str) -> Any:
        resource, _, attribute = name.partition(".")
        return self._attribute(resource, attribute) if attribute else self._ref(name)

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NOTHING
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self._parameters:
            return self._parameters[name]["Default"]
        resource = self._resources[name]
        kind, properties = resource["Type"], resource["Properties"]
        if kind in _NAMES:
            return self.resolve(properties[_NAMES[kind]])
        if kind in _ARNS:
            service, named_by, before = _ARNS[kind]
            where = f"{PSEUDO['AWS::Region']}:{PSEUDO['AWS::AccountId']}"
            return f"arn:aws:{service}:{where}:{before}{self.resolve(properties[named_by])}"
        if kind == "AWS::Glue::Database":
            return self.resolve(properties["DatabaseInput"]["Name"])
        raise ValueError(f"no value for a Ref to {name}, a {kind}")

    def _attribute(self, name: str, attribute: str) -> Any:
        match self._resources[name]["Type"], attribute:
            case "AWS::SQS::Queue", "QueueName":
                return self.resolve(self._resources[name]["Properties"]["QueueName"])
            case "AWS::IAM::Role", "Arn":  # the stack leaves the name to CloudFormation; alone it needs one
                words = re.findall(r"[A-Z][a-z]+", name.removesuffix("Role").removesuffix("Job"))
                role = "-".join([self._ref("Prefix"), *map(str.lower, words)])
                return f"arn:aws:iam::{PSEUDO['AWS::AccountId']}:role/{role}"
        raise ValueError(f"no value for {name}.{attribute}")

    def _holds(self, condition: Any) -> bool:
        match condition:
            case {"Condition": name}:
                return self._holds(self._conditions[name])
            case {"Fn::Equals": [left, right]}:
                return bool(self.resolve(left) == self.resolve(right))
            case {"Fn::Not": [negated]}:
                return not self._holds(negated)
            case {"Fn::And": all_of}:
                return all(map(self._holds, _listed(all_of)))
        raise ValueError(f"no value for the condition {condition!r}")


def _listed(value: Any) -> Sequence[Any]:
    assert isinstance(value, list), "Fn::And takes a list"
    return value
