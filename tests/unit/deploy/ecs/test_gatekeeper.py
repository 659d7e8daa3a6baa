"""The gatekeeper of `make test-deploy`: what a request needs, and whether a policy allows it."""

import json
from functools import cache
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest
from botocore.session import Session
from yarl import URL

from deploy.ecs.policies import RIGHTS
from tests.harness.iam import Need, Policy, Statement
from tests.harness.needs import Stack, needs
from tests.harness.proxy import recognise

OF = "us-east-1:000000000000"
KEY = f"arn:aws:kms:{OF}:key/k"
STACK = Stack(stream="events", workgroup="group", key=KEY)
DECRYPT, ENCRYPT = Need("kms:Decrypt", KEY), Need("kms:GenerateDataKey", KEY)
BUCKET = "arn:aws:s3:::lake"
OBJECT = f"{BUCKET}/a/b c"
CATALOG = f"arn:aws:glue:{OF}:catalog"
ITEM = {"Key": {"k": {"S": "v"}}, "TableName": "counts", "UpdateExpression": "SET a = b"}
GROUP = Need("athena:StartQueryExecution", f"arn:aws:athena:{OF}:workgroup/other")
PLACE = {"Bucket": "lake", "Key": "a/b c"}
IN_LAKE = {"DatabaseName": "lake"}


@cache
def client_of(service: str) -> Any:
    session = Session()
    session.set_credentials("me", "secret")
    return session.create_client(service, "us-east-1", endpoint_url="http://127.0.0.1:1")


def asked(service: str, operation: str, **arguments: Any) -> list[Need]:
    """What a call of botocore needs, told from the request that it would send."""
    client = client_of(service)
    sent: list[AWSRequest] = []

    class Stopped(Exception):  # noqa: N818 - it is none
        pass

    def stop(request: AWSRequest, **_more: object) -> None:
        sent.append(request)
        raise Stopped

    client.meta.events.register("before-send", stop)
    with pytest.raises(Stopped):
        getattr(client, operation)(**arguments)
    client.meta.events.unregister("before-send", stop)
    [request] = sent
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
    body = request.body.read() if hasattr(request.body, "read") else request.body or b""
    body = body.encode() if isinstance(body, str) else body
    url = URL(request.url, encoded=True)
    return needs(recognise(request.method, url, headers, body), request.method, url, headers, body, STACK)


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "expected"),
    [
        ("s3", "get_object", PLACE, [Need("s3:GetObject", OBJECT), DECRYPT]),
        ("s3", "head_object", PLACE, [Need("s3:GetObject", OBJECT)]),
        ("s3", "put_object", PLACE, [Need("s3:PutObject", OBJECT), ENCRYPT]),
        ("s3", "create_multipart_upload", PLACE, [Need("s3:PutObject", OBJECT), ENCRYPT]),
        ("s3", "upload_part", {**PLACE, "UploadId": "u", "PartNumber": 1}, [Need("s3:PutObject", OBJECT), DECRYPT]),
        ("s3", "complete_multipart_upload", {**PLACE, "UploadId": "u"}, [Need("s3:PutObject", OBJECT), DECRYPT]),
        ("s3", "abort_multipart_upload", {**PLACE, "UploadId": "u"}, [Need("s3:AbortMultipartUpload", OBJECT)]),
        ("s3", "list_parts", {**PLACE, "UploadId": "u"}, [Need("s3:ListMultipartUploadParts", OBJECT)]),
        ("s3", "delete_object", PLACE, [Need("s3:DeleteObject", OBJECT)]),
        (
            "s3", "delete_objects", {"Bucket": "lake", "Delete": {"Objects": [{"Key": "a"}, {"Key": "b"}]}},
            [Need("s3:DeleteObject", f"{BUCKET}/a"), Need("s3:DeleteObject", f"{BUCKET}/b")],
        ),
        (
            "s3", "copy_object", {"Bucket": "lake", "Key": "c", "CopySource": PLACE},
            [Need("s3:PutObject", f"{BUCKET}/c"), Need("s3:GetObject", OBJECT), ENCRYPT, DECRYPT],
        ),
        ("s3", "list_objects_v2", {"Bucket": "lake", "Prefix": "a/"}, [Need("s3:ListBucket", BUCKET)]),
        ("s3", "head_bucket", {"Bucket": "lake"}, [Need("s3:ListBucket", BUCKET)]),
        ("s3", "get_bucket_location", {"Bucket": "lake"}, [Need("s3:GetBucketLocation", BUCKET)]),
        ("s3", "list_multipart_uploads", {"Bucket": "lake"}, [Need("s3:ListBucketMultipartUploads", BUCKET)]),
        (
            "kinesis", "put_records", {"StreamName": "other", "Records": [{"Data": b"", "PartitionKey": "k"}]},
            [Need("kinesis:PutRecords", f"arn:aws:kinesis:{OF}:stream/other"), ENCRYPT],
        ),
        (
            "kinesis", "get_records", {"ShardIterator": "i"},
            [Need("kinesis:GetRecords", f"arn:aws:kinesis:{OF}:stream/events"), DECRYPT],
        ),
        (
            "dynamodb", "transact_write_items", {"TransactItems": [{"Update": ITEM}, {"Update": ITEM}]},
            [Need("dynamodb:UpdateItem", f"arn:aws:dynamodb:{OF}:table/counts"), DECRYPT],
        ),
        (
            "dynamodb", "describe_table", {"TableName": "counts"},
            [Need("dynamodb:DescribeTable", f"arn:aws:dynamodb:{OF}:table/counts")],
        ),
        (
            "sqs", "delete_message_batch", {"QueueUrl": "http://127.0.0.1:1/000000000000/q", "Entries": []},
            [Need("sqs:DeleteMessage", f"arn:aws:sqs:{OF}:q")],
        ),
        ("sns", "publish", {"TopicArn": "topic", "Message": "m"}, [Need("sns:Publish", "topic"), DECRYPT, ENCRYPT]),
        ("athena", "start_query_execution", {"QueryString": "SELECT 1", "WorkGroup": "other"}, [GROUP]),
        (
            "athena", "get_query_results", {"QueryExecutionId": "q"},
            [Need("athena:GetQueryResults", f"arn:aws:athena:{OF}:workgroup/group")],
        ),
        (
            "glue", "get_partitions", {**IN_LAKE, "TableName": "events"},
            [
                Need("glue:GetPartitions", arn)
                for arn in (CATALOG, f"arn:aws:glue:{OF}:database/lake", f"arn:aws:glue:{OF}:table/lake/events")
            ],
        ),
        (
            "glue", "create_database", {"DatabaseInput": {"Name": "lake"}},
            [Need("glue:CreateDatabase", arn) for arn in (CATALOG, f"arn:aws:glue:{OF}:database/lake")],
        ),
        (
            "kms", "list_keys", {},
            [Need("kms:ListKeys", "POST /")],
        ),
    ],
)  # fmt: skip
def test_what_a_call_needs(service: str, operation: str, arguments: dict[str, Any], expected: list[Need]) -> None:
    assert asked(service, operation, **arguments) == expected


def document(*actions: str, resource: str = f"{BUCKET}/a/*") -> dict[str, Any]:
    return {"Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": [resource]}]}


@pytest.mark.parametrize(
    ("service", "operation", "called"),
    [
        ("sqs", "list_queues", "ListQueues"),
        ("dynamodb", "list_tables", "ListTables"),
        ("sns", "list_topics", "ListTopics"),
    ],
)
def test_a_call_that_does_not_say_what_it_is_about_is_a_need_all_the_same(
    service: str, operation: str, called: str
) -> None:
    [need] = asked(service, operation)
    assert need.action == f"{service}:{called}"
    assert not Policy((Statement(frozenset({need.action}), ("arn:*",)),)).allows(need)


def test_a_policy_allows_what_a_statement_says_and_nothing_else() -> None:
    policy = Policy.of([document("s3:GetObject"), document("s3:ListBucket", resource=BUCKET)])
    assert policy.allows(Need("s3:GetObject", f"{BUCKET}/a/b"))
    assert policy.allows(Need("s3:ListBucket", BUCKET))
    for need in (
        Need("s3:GetObject", f"{BUCKET}/b/a/b"),
        Need("s3:GetObject", BUCKET),
        Need("s3:ListBucket", f"{BUCKET}/a/b"),
        Need("s3:PutObject", f"{BUCKET}/a/b"),
    ):
        assert not policy.allows(need)
    assert not policy.without("s3:GetObject").allows(Need("s3:GetObject", f"{BUCKET}/a/b"))


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Deny", "Action": "s3:GetObject", "Resource": BUCKET},
        {"Effect": "Allow", "Action": "s3:*", "Resource": BUCKET},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": {"Ref": "DataBucket"}},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "${DataBucket.Arn}/*"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": BUCKET, "Condition": {}},
        {"Effect": "Allow", "NotAction": "s3:GetObject", "Action": [], "Resource": BUCKET},
    ],
    ids=json.dumps,
)
def test_a_policy_that_is_not_understood_is_refused(statement: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"of ours|one by one|resolved"):
        Policy.of([{"Statement": [statement]}])


def test_no_two_roles_are_alike() -> None:
    assert len(set(RIGHTS.values())) == len(RIGHTS)
