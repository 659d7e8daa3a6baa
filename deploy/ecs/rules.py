"""What must hold of every template here, whoever changes it: rules over its values, each a sentence when broken. Pure.

cfn-lint says whether CloudFormation would take a template; these say whether a security review would.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

Template = Mapping[str, Any]


class Resource(NamedTuple):
    """One resource of a template."""

    name: str
    kind: str
    properties: Mapping[str, Any]


_ENCRYPTED: Mapping[str, tuple[str, ...]] = {
    "AWS::Athena::WorkGroup": ("WorkGroupConfiguration", "ResultConfiguration", "EncryptionConfiguration", "KmsKey"),
    "AWS::DynamoDB::Table": ("SSESpecification", "KMSMasterKeyId"),
    "AWS::Kinesis::Stream": ("StreamEncryption", "KeyId"),
    "AWS::Logs::LogGroup": ("KmsKeyId",),
    "AWS::SNS::Topic": ("KmsMasterKeyId",),
    "AWS::SQS::Queue": ("KmsMasterKeyId",),
    "AWS::SecretsManager::Secret": ("KmsKeyId",),
}
"""What keeps data, by type, and the property that names its key."""

_TOLD_BY_TLS = {"AWS::S3::Bucket": "Bucket", "AWS::SNS::Topic": "Topics", "AWS::SQS::Queue": "Queues"}
"""What anybody with an address may knock at, by type, and the property of its policy that names it."""

_WITHOUT_RESOURCE = frozenset({"ecr:GetAuthorizationToken"})
"""Actions that IAM allows for `*` or not at all."""


def problems(template: Template) -> list[str]:
    """What is wrong with a template; none when nothing is."""
    return [problem for rule in RULES for problem in rule(template)]


def resources(template: Template, kind: str = "") -> Iterator[Resource]:
    """All resources, or those of a type."""
    for name, each in template["Resources"].items():
        if kind in {"", each["Type"]}:
            yield Resource(name, each["Type"], each.get("Properties", {}))


def statements(resource: Resource) -> Iterator[Mapping[str, Any]]:
    """The statements of all policies in a resource."""
    for value in _walk(resource.properties):
        if isinstance(value, Mapping) and "Effect" in value:
            yield value


def no_public_bucket(template: Template) -> Iterator[str]:
    """A bucket has no policies or lists that let strangers in, and could not have any."""
    shut = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True)
    for bucket in resources(template, "AWS::S3::Bucket"):
        if bucket.properties.get("PublicAccessBlockConfiguration") != shut:
            yield f"{bucket.name} does not block public access"
        if _at(bucket.properties, "OwnershipControls", "Rules") != [{"ObjectOwnership": "BucketOwnerEnforced"}]:
            yield f"{bucket.name} has access control lists"


def all_is_encrypted(template: Template) -> Iterator[str]:
    """Whatever keeps data names the key that it is encrypted with."""
    for resource in resources(template):
        path = _ENCRYPTED.get(resource.kind)
        if path is not None and not _at(resource.properties, *path):
            yield f"{resource.name} is not encrypted with a key of ours"
    for bucket in resources(template, "AWS::S3::Bucket"):
        rules = _at(bucket.properties, "BucketEncryption", "ServerSideEncryptionConfiguration") or []
        if not any(_at(rule, "ServerSideEncryptionByDefault", "KMSMasterKeyID") for rule in rules):
            yield f"{bucket.name} is not encrypted with a key of ours"


def only_by_tls(template: Template) -> Iterator[str]:
    """Buckets, topics and queues refuse what comes without TLS."""
    shut = set()
    for policy in resources(template):
        if any(
            it["Effect"] == "Deny" and _at(it, "Condition", "Bool", "aws:SecureTransport") == "false"
            for it in statements(policy)
        ):
            named = next((policy.properties[name] for name in _TOLD_BY_TLS.values() if name in policy.properties), ())
            shut |= {each["Ref"] for each in _listed(named)}
    for resource in resources(template):
        if resource.kind in _TOLD_BY_TLS and resource.name not in shut:
            yield f"{resource.name} answers without TLS"


def no_wildcard(template: Template) -> Iterator[str]:
    """Nobody may do all of something, or something to all; only a folder of objects ends in `*`.

    The policy of a key is about that key, which it has to call `*`.
    """
    for resource in resources(template):
        for statement in statements(resource):
            if statement["Effect"] == "Deny" or resource.kind == "AWS::KMS::Key":
                continue
            actions = _listed(statement["Action"])
            if any("*" in action for action in actions):
                yield f"{resource.name} allows {', '.join(actions)}"
            for text in filter(_is_text, _walk(statement.get("Resource", []))):
                everything = text == "*" and not _WITHOUT_RESOURCE.issuperset(actions)
                if everything or (text != "*" and "*" in text.removesuffix("/*")):
                    yield f"{resource.name} allows {', '.join(actions)} to {text}"
            if "*" in _walk(statement.get("Principal", [])):
                yield f"{resource.name} allows {', '.join(actions)} to anybody"


def containers_are_confined(template: Template) -> Iterator[str]:
    """A container is nobody in particular, cannot write but to its volumes, and holds no secret in plain sight."""
    for definition in resources(template, "AWS::ECS::TaskDefinition"):
        for container in definition.properties["ContainerDefinitions"]:
            where = f"{definition.name}: {container['Name']}"
            if str(container.get("User", "root")).partition(":")[0] in {"root", "0"}:
                yield f"{where} runs as root"
            if container.get("ReadonlyRootFilesystem") is not True:
                yield f"{where} can write to its root"
            if _at(container, "LinuxParameters", "Capabilities", "Drop") != ["ALL"] or container.get("Privileged"):
                yield f"{where} has capabilities"
            plain = (each["Name"] for each in container.get("Environment", ()))
            yield from (f"{where} has {name} in plain sight" for name in plain if name.endswith(("_KEY", "_KEYS")))


def nobody_calls_tasks(template: Template) -> Iterator[str]:
    """A security group lets in a named port, and only a load balancer's lets in addresses."""
    for group in resources(template, "AWS::EC2::SecurityGroup"):
        for rule in _walk(group.properties.get("SecurityGroupIngress", [])):
            if not isinstance(rule, Mapping) or "IpProtocol" not in rule:
                continue
            if rule["IpProtocol"] != "tcp" or rule["FromPort"] != rule["ToPort"]:
                yield f"{group.name} lets in more than one port"
            if "SourceSecurityGroupId" not in rule and rule["FromPort"] != _TLS_PORT:
                yield f"{group.name} lets in addresses on port {rule['FromPort']}"


def every_alarm_acts(template: Template) -> Iterator[str]:
    """An alarm that tells nobody is none."""
    for alarm in resources(template, "AWS::CloudWatch::Alarm"):
        if not alarm.properties.get("AlarmActions"):
            yield f"{alarm.name} has no action"


_TLS_PORT = 443

RULES: tuple[Callable[[Template], Iterator[str]], ...] = (
    no_public_bucket,
    all_is_encrypted,
    only_by_tls,
    no_wildcard,
    containers_are_confined,
    nobody_calls_tasks,
    every_alarm_acts,
)


def _walk(value: Any) -> Iterator[Any]:
    """A value and all that is in it."""
    yield value
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _walk(each)
    elif isinstance(value, list):
        for each in value:
            yield from _walk(each)


def _at(value: Any, *path: str) -> Any:
    """What stands at a path of keys; None where it ends early."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
