"""What the transformer may do with AWS. It deletes nothing: no object, no item, no message."""

from headrace.aws.rights import LANDING, Resource, Right, Rights, bucket

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
    *bucket(read=LANDING, written=LANDING),
    Right(on=Resource.DEAD_LETTERS_TOPIC, actions=("sns:Publish",), why="digests of dead letters"),
)
