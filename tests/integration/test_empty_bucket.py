"""The custom resource that empties the bucket of a stack that is deleted."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from uuid import uuid4

import botocore.session
import pytest

from deploy.ecs.empty_bucket import LEFT_MS, handler


@dataclass(frozen=True, slots=True)
class Context:
    """What Lambda tells a function of itself."""

    left_ms: int = 900_000

    def get_remaining_time_in_millis(self) -> int:
        return self.left_ms


class CloudFormation(HTTPServer):
    """Takes the answers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.answers: list[dict[str, Any]] = []

    def request(self, kind: str, bucket: str) -> dict[str, Any]:
        return {
            "RequestType": kind,
            "ResponseURL": f"http://127.0.0.1:{self.server_port}/answer",
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "DataBucketContents",
            "ResourceProperties": {"Bucket": bucket},
        }


class Answer(BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        assert isinstance(self.server, CloudFormation)
        self.server.answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *said: object) -> None:
        """Say nothing."""


@pytest.fixture
def cloudformation() -> Iterator[CloudFormation]:
    with CloudFormation() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def s3(aws_environment: str) -> Any:
    return botocore.session.get_session().create_client("s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"doomed-{uuid4().hex}"
    s3.create_bucket(Bucket=name)
    for key in ("events/a.parquet", "silver/events/b c+d.parquet", "gold/e.parquet"):
        s3.put_object(Bucket=name, Key=key, Body=b"x")
    return name


def test_a_stack_that_is_deleted_takes_its_objects_along(s3: Any, bucket: str, cloudformation: CloudFormation) -> None:
    handler(cloudformation.request("Delete", bucket), Context())
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert cloudformation.answers == [
        {
            "Status": "SUCCESS",
            "Reason": "done",
            "PhysicalResourceId": f"contents-of-{bucket}",
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "DataBucketContents",
        }
    ]
    handler(cloudformation.request("Delete", bucket), Context())
    assert cloudformation.answers[1]["Status"] == "SUCCESS"


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_a_stack_that_stays_keeps_them(s3: Any, bucket: str, cloudformation: CloudFormation, kind: str) -> None:
    handler(cloudformation.request(kind, bucket), Context())
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 3
    assert cloudformation.answers[0]["Status"] == "SUCCESS"


def test_what_cannot_be_emptied_is_told_instead_of_never_answered(s3: Any, cloudformation: CloudFormation) -> None:
    handler(cloudformation.request("Delete", "doomed-but-gone"), Context())
    assert cloudformation.answers[0]["Status"] == "FAILED"
    assert "NoSuchBucket" in cloudformation.answers[0]["Reason"]


def test_before_its_time_is_up_it_asks_for_another_deletion(bucket: str, cloudformation: CloudFormation) -> None:
    handler(cloudformation.request("Delete", bucket), Context(left_ms=LEFT_MS - 1))
    assert cloudformation.answers[0]["Status"] == "FAILED"
    assert "delete the stack again" in cloudformation.answers[0]["Reason"]
