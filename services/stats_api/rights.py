"""What the stats API may do with AWS."""

from headrace.aws.rights import Resource, Right, Rights, bucket
from headrace.lake.layout import Quarantine

RIGHTS: Rights = (
    Right(
        on=Resource.STREAM,
        actions=("kinesis:DescribeStreamSummary", "kinesis:PutRecords"),
        why="puts what is collected",
    ),
    Right(
        on=Resource.CONTROL_TABLE,
        actions=("dynamodb:DescribeTable", "dynamodb:Scan"),
        why="up to when counts are complete",
    ),
    Right(
        on=Resource.COUNTERS_TABLE,
        actions=("dynamodb:DescribeTable", "dynamodb:Query"),
        why="counts",
    ),
    *bucket(read=(Quarantine.KINESIS_FAILURES,), written=(Quarantine.KINESIS_FAILURES,)),
)
