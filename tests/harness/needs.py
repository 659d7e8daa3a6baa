"""A request to AWS → what its sender has to be allowed, by the service authorization reference. Pure.

Statements of Athena and iterators of Kinesis do not say what they belong to, so they count as the stack's own.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from yarl import URL

from tests.harness.iam import Need
from tests.harness.proxy import Call

REGION, ACCOUNT = "us-east-1", "000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What requests do not say of themselves."""

    stream: str
    workgroup: str
    key: str
    """ARN of the key that all is encrypted with."""


def needs(call: Call, method: str, url: URL, headers: Mapping[str, str], body: bytes, stack: Stack) -> list[Need]:
    """All that the call needs. What is unknown here, or says too little, is a need that no policy allows."""
    try:
        found = _found(call, method, url, headers, body, stack)
    except (KeyError, ValueError):
        found = []
    found = found or [Need(f"{call.service}:{call.operation}", f"{method} {url.path_qs}")]
    return found + [Need(action, stack.key) for need in found for action in _with_the_key(need.action, method, url)]


def _found(call: Call, method: str, url: URL, headers: Mapping[str, str], body: bytes, stack: Stack) -> list[Need]:
    match call.service:
        case "s3":
            return _s3(method, url, headers, body)
        case "sns":
            return [Need(f"sns:{call.operation}", parse_qs(body.decode())["TopicArn"][0])]
        case "kinesis" | "dynamodb" | "sqs" | "athena" | "glue":
            return _JSON[call.service](call.operation, json.loads(body), stack)
    return []


def _kinesis(operation: str, said: Mapping[str, Any], stack: Stack) -> list[Need]:
    arn = said.get("StreamARN") or _arn("kinesis", f"stream/{said.get('StreamName', stack.stream)}")
    return [Need(f"kinesis:{operation}", arn)]


def _dynamodb(operation: str, said: Mapping[str, Any], _stack: Stack) -> list[Need]:
    if operation != "TransactWriteItems":
        return [Need(f"dynamodb:{operation}", _arn("dynamodb", f"table/{said['TableName']}"))]
    written = {(f"{kind}Item", one["TableName"]) for each in said["TransactItems"] for kind, one in each.items()}
    return [Need(f"dynamodb:{action}", _arn("dynamodb", f"table/{table}")) for action, table in sorted(written)]


def _sqs(operation: str, said: Mapping[str, Any], _stack: Stack) -> list[Need]:
    name = said.get("QueueName") or said["QueueUrl"].rpartition("/")[2]
    return [Need(f"sqs:{operation.removesuffix('Batch')}", _arn("sqs", name))]


def _athena(operation: str, said: Mapping[str, Any], stack: Stack) -> list[Need]:
    return [Need(f"athena:{operation}", _arn("athena", f"workgroup/{said.get('WorkGroup', stack.workgroup)}"))]


def _glue(operation: str, said: Mapping[str, Any], _stack: Stack) -> list[Need]:
    """Glue asks for the right to a thing and to all that it is in."""
    arns = [_arn("glue", "catalog")]
    of_database = operation.endswith("Database")
    database = said.get("DatabaseName") or (said.get("Name") or said["DatabaseInput"]["Name"] if of_database else None)
    if database is not None:
        arns.append(_arn("glue", f"database/{database}"))
    named = said.get("TableName") or said.get("TableInput", {}).get("Name") or said.get("Name")
    if named is not None and not of_database:
        arns.append(_arn("glue", f"table/{database}/{named}"))
    return [Need(f"glue:{operation}", arn) for arn in arns]


_JSON = {"kinesis": _kinesis, "dynamodb": _dynamodb, "sqs": _sqs, "athena": _athena, "glue": _glue}


def _s3(method: str, url: URL, headers: Mapping[str, str], body: bytes) -> list[Need]:
    name, _, key = url.path.lstrip("/").partition("/")
    bucket = f"arn:aws:s3:::{name}"
    if not key:
        return _bucket(method, url, bucket, body)
    here, is_upload = f"{bucket}/{key}", "uploadId" in url.query
    match method:
        case "GET" | "HEAD":
            return [Need("s3:ListMultipartUploadParts" if is_upload else "s3:GetObject", here)]
        case "PUT" | "POST":
            source = headers.get("x-amz-copy-source")
            read = [Need("s3:GetObject", f"arn:aws:s3:::{unquote(source).lstrip('/')}")] if source else []
            return [Need("s3:PutObject", here), *read]
        case "DELETE":
            return [Need("s3:AbortMultipartUpload" if is_upload else "s3:DeleteObject", here)]
    return []


def _bucket(method: str, url: URL, bucket: str, body: bytes) -> list[Need]:
    if method == "POST" and "delete" in url.query:
        keys = re.findall(r"<Key>(.*?)</Key>", body.decode())
        return [Need("s3:DeleteObject", f"{bucket}/{key}") for key in keys]
    if method not in {"GET", "HEAD"}:
        return []
    of = {"location": "s3:GetBucketLocation", "uploads": "s3:ListBucketMultipartUploads"}
    return [Need(next((action for word, action in of.items() if word in url.query), "s3:ListBucket"), bucket)]


_DECRYPT, _ENCRYPT = "kms:Decrypt", "kms:GenerateDataKey"
_BY_KEY = {
    "kinesis:GetRecords": (_DECRYPT,),
    "kinesis:PutRecords": (_ENCRYPT,),
    "sns:Publish": (_DECRYPT, _ENCRYPT),
    "sqs:ReceiveMessage": (_DECRYPT,),
    **{f"dynamodb:{it}": (_DECRYPT,) for it in ("GetItem", "PutItem", "UpdateItem", "Query", "Scan")},
}


def _with_the_key(action: str, method: str, url: URL) -> tuple[str, ...]:
    """What a service does with the key in its caller's name."""
    if action == "s3:GetObject" and method != "HEAD":
        return (_DECRYPT,)
    if action == "s3:PutObject":
        return (_DECRYPT,) if "uploadId" in url.query else (_ENCRYPT,)
    return _BY_KEY.get(action, ())


def _arn(service: str, what: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{what}"
