"""What the transformer may do with AWS. It deletes nothing: no object, no item, no message."""

from headrace.aws.rights import Resource, Right, Rights, bucket
from headrace.lake.layout import EVENTS, INTENTS, Quarantine

FOLDERS = (EVENTS, INTENTS, Quarantine.FAILED_TRANSFORMATION)
"""Where a batch lands; a worker that takes over looks at all of it."""

RIGHTS: Rights = (
    Right(
        on=Resource.STREAM,
        actions=(
            "kinesis:DescribeStreamSummary",
            "kinesis:GetRecords",
            "kinesis:GetShardIterator",
            "kinesis:ListShards",
        ),
        why="reads events",
    ),
    Right(
        on=Resource.CONTROL_TABLE,
        actions=("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Scan", "dynamodb:UpdateItem"),
        why="leases and checkpoints; rows of shards long gone are marked, and expire",
    ),
    Right(
        on=Resource.COUNTERS_TABLE,
        actions=("dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
        why="counts; a transaction of updates is made of UpdateItem",
    ),
    *bucket(read=FOLDERS, written=FOLDERS),
    Right(on=Resource.DEAD_LETTERS_TOPIC, actions=("sns:Publish",), why="digests of dead letters"),
)
