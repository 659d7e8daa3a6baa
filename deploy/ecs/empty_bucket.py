"""A custom resource of `headrace.yaml`: empties a bucket when its stack is deleted.

The template carries these lines as the code of a Lambda function, whose runtime has botocore and nothing else of ours.
CloudFormation asks when the resource is made, changed and deleted, and waits for an answer at a URL of its own.
"""

import json
import urllib.request
from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError

LEFT_MS = 60_000
"""Before the function's time is up it tells that it was not enough: without an answer the stack waits for an hour."""


def handler(event: dict[str, Any], context: Any) -> None:
    """Answer one request of CloudFormation."""
    bucket = event["ResourceProperties"]["Bucket"]
    problem = empty(bucket, context) if event["RequestType"] == "Delete" else ""
    answer = {
        "Status": "FAILED" if problem else "SUCCESS",
        "Reason": problem or "done",
        "PhysicalResourceId": f"contents-of-{bucket}",
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    print(json.dumps(answer))  # noqa: T201 - a function's log is its output
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT")  # noqa: S310
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - CloudFormation's own


def empty(bucket: str, context: Any) -> str:
    """Delete all objects → what stood against it; empty text when nothing did."""
    s3 = botocore.session.get_session().create_client("s3")
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            if not (keys := [{"Key": found["Key"]} for found in page.get("Contents", ())]):
                break
            if context.get_remaining_time_in_millis() < LEFT_MS:
                return f"{bucket} has more objects than can be deleted in one go: delete the stack again"
            if refused := s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True}).get("Errors"):
                return f"{len(refused)} objects of {bucket} cannot be deleted: {refused[0]}"
    except (BotoCoreError, ClientError) as error:
        return f"{bucket}: {error}"
    return ""
