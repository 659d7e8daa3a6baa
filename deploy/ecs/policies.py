"""Rights → statements of the policies in `headrace.yaml`. Pure.

A role's policy is what its service or job declares, word for word: `scripts/generate_docs.py` writes it between the
markers in the template, and a test compares.
"""

import copy
from collections.abc import Iterable, Mapping
from types import MappingProxyType, ModuleType
from typing import Any

import jobs.medallion.rights
import jobs.partitions.rights
import jobs.reconcile.rights
import jobs.replay.rights
import services.api_consumer.rights
import services.partitioner.rights
import services.stats_api.rights
import services.transformer.rights
from headrace.aws.rights import Resource, Right, Rights

Intrinsic = dict[str, Any]
"""An intrinsic function of CloudFormation, spelt out: `{"Fn::GetAtt": ["EventStream", "Arn"]}`."""

_MODULES: Mapping[str, ModuleType] = MappingProxyType({
    "ApiConsumer": services.api_consumer.rights,
    "Transformer": services.transformer.rights,
    "Partitioner": services.partitioner.rights,
    "StatsApi": services.stats_api.rights,
    "MedallionJob": jobs.medallion.rights,
    "PartitionsJob": jobs.partitions.rights,
    "ReconcileJob": jobs.reconcile.rights,
    "ReplayJob": jobs.replay.rights,
})  # fmt: skip

RIGHTS: Mapping[str, Rights] = MappingProxyType({name: module.RIGHTS for name, module in _MODULES.items()})
"""By what the logical ids of a service or job begin with: the role of `Transformer` is `TransformerRole`."""

_OWN: Mapping[Resource, Intrinsic] = {
    Resource.STREAM: {"Fn::GetAtt": ["EventStream", "Arn"]},
    Resource.CONTROL_TABLE: {"Fn::GetAtt": ["ControlTable", "Arn"]},
    Resource.COUNTERS_TABLE: {"Fn::GetAtt": ["CountersTable", "Arn"]},
    Resource.STATE_TABLE: {"Fn::GetAtt": ["StateTable", "Arn"]},
    Resource.BUCKET: {"Fn::GetAtt": ["DataBucket", "Arn"]},
    Resource.KEY: {"Fn::GetAtt": ["DataKey", "Arn"]},
    Resource.QUEUE: {"Fn::GetAtt": ["PartitionQueue", "Arn"]},
    Resource.FAILED_RECORDS_TOPIC: {"Ref": "FailedRecordsTopic"},
    Resource.DEAD_LETTERS_TOPIC: {"Ref": "DeadLettersTopic"},
}
"""Resources that the template makes and that know their own ARN."""


_BEGIN, _END = "# written by `make docs` from {}\n", "# end: {}\n"


def filled(template: str) -> str:
    """The text of `headrace.yaml` with the statements of all roles between their markers. Raises `ValueError`."""
    for name, module in _MODULES.items():
        source = f"{module.__name__.replace('.', '/')}.py"
        head, begin, rest = template.partition(_BEGIN.format(source))
        _, end, tail = rest.partition(_END.format(source))
        if not (begin and end):
            raise ValueError(f"the template has no place for what {source} says")
        margin = head.rpartition("\n")[2]
        lines = [line for number, right in enumerate(RIGHTS[name], start=1) for line in _written(number, right)]
        template = head + begin + "".join(f"{margin}{line}\n" for line in lines) + margin + end + tail
    return template


def _written(number: int, right: Right) -> list[str]:
    [statement] = statements([right])
    return [
        f"- Sid: {_sid(number, right)} # {right.why}",
        "  Effect: Allow",
        *_listed("Action", statement["Action"]),
        *_listed("Resource", [_short(each) for each in statement["Resource"]]),
    ]


def _listed(name: str, items: list[str]) -> list[str]:
    """On one line if there is one, else a line each."""
    return [f"  {name}: [{items[0]}]"] if len(items) == 1 else [f"  {name}:", *(f"    - {item}" for item in items)]


def _short(intrinsic: Intrinsic) -> str:
    """A function of CloudFormation as YAML has it for people."""
    [(function, argument)] = intrinsic.items()
    text = ".".join(argument) if isinstance(argument, list) else argument
    return f"!{function.removeprefix('Fn::')} " + (f"'{text}'" if function == "Fn::Sub" else text)


def statements(rights: Iterable[Right]) -> list[dict[str, Any]]:
    """Statements of a policy document, one for each right, in their order."""
    return [
        {
            "Sid": _sid(number, right),
            "Effect": "Allow",
            "Action": sorted(right.actions),
            "Resource": resources(right),
        }
        for number, right in enumerate(rights, start=1)
    ]


def resources(right: Right) -> list[Intrinsic]:
    """The ARNs that a right is about. Glue looks at a table's database and catalogue too, whatever is asked of it."""
    match right.on:
        case Resource.OBJECTS:
            return [{"Fn::Sub": f"${{DataBucket.Arn}}/{folder}/*"} for folder in sorted(right.within)]
        case Resource.WORKGROUP:
            return [_arn("athena", "workgroup/${Workgroup}")]
        case Resource.DATABASE:
            return [_arn("glue", "catalog"), _arn("glue", "database/${Database}")]
        case Resource.DEFAULT_DATABASE:
            return [_arn("glue", "catalog"), _arn("glue", "database/default")]
        case Resource.TABLES:
            tables = [_arn("glue", f"table/${{Database}}/{table}") for table in sorted(right.within)]
            return [_arn("glue", "catalog"), _arn("glue", "database/${Database}"), *tables]
    return [copy.deepcopy(_OWN[right.on])]  # else YAML would write it once, and point there


def _arn(service: str, what: str) -> Intrinsic:
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{what}"}


def _sid(number: int, right: Right) -> str:
    """`Stream1`: letters and digits, once in a policy."""
    return "".join(word.capitalize() for word in right.on.split()) + str(number)
