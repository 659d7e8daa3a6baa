"""What the poller may do with AWS."""

from headrace.aws.rights import Resource, Right, Rights, bucket
from headrace.lake.layout import RAW_EVENTS, Quarantine

RIGHTS: Rights = (
    Right(
        on=Resource.STREAM,
        actions=("kinesis:DescribeStreamSummary", "kinesis:ListShards", "kinesis:PutRecords"),
        why="puts events; aggregates are made by shard",
    ),
    Right(on=Resource.STATE_TABLE, actions=("dynamodb:GetItem", "dynamodb:PutItem"), why="cursors"),
    *bucket(
        read=(Quarantine.KINESIS_FAILURES,),
        written=(Quarantine.EXTRA_COLUMNS, Quarantine.FAILED, Quarantine.KINESIS_FAILURES, RAW_EVENTS),
    ),
    Right(on=Resource.FAILED_RECORDS_TOPIC, actions=("sns:Publish",), why="digests of what was rejected or spooled"),
)
