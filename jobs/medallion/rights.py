"""What the medallion may do with AWS, on DuckDB."""

from headrace.aws.rights import ATHENA_OUTPUT, EVENTS_TABLE, Resource, Right, Rights, athena, bucket
from headrace.lake.layout import EVENTS, RAW_EVENTS, Quarantine
from jobs.medallion.places import GOLD, RUNS, SILVER
from jobs.medallion.tables import GOLD as GOLD_TABLES
from jobs.medallion.tables import GOLD_RUNS, SILVER_EVENTS
from jobs.medallion.tables import RAW_EVENTS as RAW_TABLE
from jobs.medallion.views import ALL_EVENTS

OWN = (RUNS, SILVER, GOLD)
"""Folders in which nobody else writes, and the only ones in which anybody deletes."""

RIGHTS: Rights = (
    Right(
        on=Resource.STATE_TABLE,
        actions=("dynamodb:GetItem", "dynamodb:PutItem"),
        why="the lock, bookmarks, and how far runs are applied",
    ),
    *bucket(
        read=(*OWN, EVENTS, RAW_EVENTS, ATHENA_OUTPUT),
        written=(*OWN, Quarantine.FAILED_TRANSFORMATION, ATHENA_OUTPUT),
    ),
    Right(
        on=Resource.OBJECTS,
        within=OWN,
        actions=("s3:AbortMultipartUpload", "s3:DeleteObject"),
        why="what runs have replaced goes, and so does an upload that failed",
    ),
    *athena(),
    Right(on=Resource.DATABASE, actions=("glue:CreateDatabase", "glue:GetDatabase"), why="makes sure of it"),
    Right(
        on=Resource.TABLES,
        within=(
            EVENTS_TABLE,
            ALL_EVENTS,
            *(table.name for table in (RAW_TABLE, SILVER_EVENTS, *GOLD_TABLES, GOLD_RUNS)),
        ),
        actions=(
            "glue:BatchCreatePartition",
            "glue:BatchUpdatePartition",
            "glue:CreateTable",
            "glue:DeletePartition",
            "glue:GetPartitions",
            "glue:GetTable",
            "glue:UpdateTable",
        ),
        why="tables, days and the view move on with each run",
    ),
)
