"""What a reconciliation may do with AWS: it only reads."""

from headrace.aws.rights import LANDING, Resource, Right, Rights, bucket

RIGHTS: Rights = (
    Right(
        on=Resource.STREAM,
        actions=("kinesis:DescribeStreamSummary", "kinesis:ListShards"),
        why="which shards there are",
    ),
    Right(on=Resource.CONTROL_TABLE, actions=("dynamodb:GetItem", "dynamodb:Scan"), why="rows of shards"),
    Right(on=Resource.COUNTERS_TABLE, actions=("dynamodb:Query",), why="the ledger of hours"),
    Right(on=Resource.STATE_TABLE, actions=("dynamodb:Scan",), why="totals of sources"),
    *bucket(read=LANDING),
)
