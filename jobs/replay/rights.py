"""What a replay may do with AWS: it reads dead letters, and lands them as the transformer lands records."""

from headrace.aws.rights import LANDING, Resource, Right, Rights, bucket
from headrace.lake.layout import Quarantine

RIGHTS: Rights = (
    Right(
        on=Resource.CONTROL_TABLE,
        actions=("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
        why="a row for each object that is replayed",
    ),
    Right(
        on=Resource.COUNTERS_TABLE,
        actions=("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
        why="counts",
    ),
    *bucket(read=(*LANDING, Quarantine.FAILED), written=LANDING),
)
