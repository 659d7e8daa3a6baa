"""The comparison: the same work as it is usually written, with boto3, a loop over records, and pandas.

Nothing in it is slow on purpose. It does less than Headrace: no bots, no truncated addresses, no dead letters.
"""

import io
import json
from datetime import UTC, datetime
from typing import Any

import botocore.parsers
import botocore.session
import pandas as pd

REQUIRED = ("session_id", "event_type", "timestamp")

_model = botocore.session.get_session().get_service_model("kinesis")
_parser = botocore.parsers.create_parser("json")


def parse_get_records(body: bytes) -> list[bytes]:
    """What boto3 does with an answer of GetRecords."""
    answer = {"status_code": 200, "headers": {}, "body": body}
    parsed = _parser.parse(answer, _model.operation_model("GetRecords").output_shape)
    return [record["Data"] for record in parsed["Records"]]


def to_parquet(payloads: list[bytes]) -> list[bytes]:
    """Records → validated rows → one Parquet file per hour."""
    rows: list[dict[str, Any]] = []
    for payload in payloads:
        event = json.loads(payload)
        if any(not event.get(name) for name in REQUIRED):
            continue
        stamp = event.pop("timestamp")
        moment = datetime.fromtimestamp(stamp / 1000 if stamp > 1e11 else stamp, UTC)  # noqa: PLR2004 - ms
        event["event_time"] = moment
        event["user_id"] = event.get("user_id") or f"anon-{event['session_id']}"
        if event["event_type"] == "purchase" and event.get("price") and event.get("quantity"):
            event["revenue"] = event["price"] * event["quantity"]
        event["year"], event["month"], event["day"], event["hour"] = moment.strftime("%Y-%m-%d-%H").split("-")
        rows.append(event)
    frame = pd.DataFrame(rows)
    bodies = []
    for _, group in frame.groupby(["year", "month", "day", "hour"]):
        sink = io.BytesIO()
        group.drop(columns=["year", "month", "day", "hour"]).to_parquet(sink, compression="snappy", index=False)
        bodies.append(sink.getvalue())
    return bodies


def page_to_entries(page: bytes) -> list[dict[str, Any]]:
    """A page of the web traffic API → entries for boto3's put_records."""
    entries = []
    for event in json.loads(page)["events"]:
        if any(not event.get(name) for name in REQUIRED):
            continue
        event["user_id"] = event.get("user_id") or f"anon-{event['session_id']}"
        event["ingest_time"] = datetime.now(UTC).isoformat()
        entries.append({"Data": json.dumps(event).encode(), "PartitionKey": event["session_id"]})
    return entries
