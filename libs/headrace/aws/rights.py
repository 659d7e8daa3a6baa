"""What a process may do with AWS, as values. Each service and job says it in its own `rights.py`.

A policy is made of these values and of nothing else (`deploy/ecs/policies.py`): who adds a call adds it there too.
"""

from dataclasses import dataclass
from enum import StrEnum

from headrace.lake.layout import EVENTS, INTENTS, Quarantine
from headrace.settings import Settings

EVENTS_TABLE: str = Settings.model_fields["table"].default
"""The table of streamed events, as a stack of ours calls it."""

ATHENA_OUTPUT = "athena_output"
"""The folder of the bucket in which Athena leaves results, with the rights of who asks."""

LANDING = (EVENTS, INTENTS, Quarantine.FAILED_TRANSFORMATION)
"""Folders in which a batch lands; who takes a shard over, replays or proves looks at all of them."""


class Resource(StrEnum):
    """What a right is about: a thing that a stack has exactly once, or a part of one."""

    STREAM = "stream"
    CONTROL_TABLE = "control table"
    COUNTERS_TABLE = "counters table"
    STATE_TABLE = "state table"
    BUCKET = "bucket"
    """The bucket itself: its listing, its region."""
    OBJECTS = "objects"
    """Objects of the bucket, below the folders of `Right.within`."""
    KEY = "key"
    """The key of all that is at rest: bucket, stream, tables, queue and topics use it with the caller's rights."""
    QUEUE = "queue"
    FAILED_RECORDS_TOPIC = "failed records topic"
    DEAD_LETTERS_TOPIC = "dead letters topic"
    WORKGROUP = "workgroup"
    DATABASE = "database"
    DEFAULT_DATABASE = "default database"
    """Hive's: Athena looks whether it is there before any statement of DDL."""
    TABLES = "tables"
    """Tables of the database: those named in `Right.within`."""


PARTED = frozenset({Resource.OBJECTS, Resource.TABLES})
"""Resources of which a right is always about parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """Something that a process does."""

    on: Resource
    actions: tuple[str, ...]
    """As IAM spells them: `s3:PutObject`. Never a pattern."""
    within: tuple[str, ...] = ()
    """Folders of the bucket without the slash at their end, or tables: for `PARTED` resources, and for them only."""
    why: str
    """What it is for: half a sentence for whoever reviews the policy."""

    def __post_init__(self) -> None:
        if (self.on in PARTED) != bool(self.within):
            raise ValueError(f"a right on the {self.on} {'needs' if self.on in PARTED else 'has no'} parts")
        if not self.actions or any("*" in text for text in (*self.actions, *self.within)):
            raise ValueError(f"a right on the {self.on} names what it is about, one by one: {self.actions}")


Rights = tuple[Right, ...]


def bucket(*, read: tuple[str, ...] = (), written: tuple[str, ...] = ()) -> Rights:
    """Rights of a process that reads and writes objects below these folders, parts of uploads included.

    The listing is not restricted to folders: of an object that is missing S3 says so (404) only to who may list the
    bucket, and it says 403 where that right depends on a prefix, since there is none in a request for an object.
    """
    rights = [Right(on=Resource.BUCKET, actions=("s3:ListBucket",), why="listings, and 404 for what is not there")]
    if read:
        rights.append(Right(on=Resource.OBJECTS, within=read, actions=("s3:GetObject",), why="reads"))
    if written:
        rights.append(Right(on=Resource.OBJECTS, within=written, actions=("s3:PutObject",), why="writes"))
    # Who puts an upload together decrypts its parts.
    key_actions = ("kms:Decrypt", "kms:GenerateDataKey") if written else ("kms:Decrypt",)
    rights.append(Right(on=Resource.KEY, actions=key_actions, why="all is encrypted with it"))
    return tuple(rights)


def athena() -> Rights:
    """Rights of a process that runs statements in the workgroup; those on tables are its own to say.

    Athena reads and writes S3 with them, so `bucket` has `ATHENA_OUTPUT` among what is read and written. It looks where
    the output goes, and uploads large results in parts.
    """
    return (
        Right(
            on=Resource.WORKGROUP,
            actions=(
                "athena:GetQueryExecution",
                "athena:GetQueryResults",
                "athena:GetWorkGroup",
                "athena:StartQueryExecution",
                "athena:StopQueryExecution",
            ),
            why="statements",
        ),
        Right(
            on=Resource.BUCKET,
            actions=("s3:GetBucketLocation", "s3:ListBucketMultipartUploads"),
            why="Athena, for the output of statements",
        ),
        Right(
            on=Resource.OBJECTS,
            within=(ATHENA_OUTPUT,),
            actions=("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
            why="Athena, for large output",
        ),
        Right(on=Resource.DEFAULT_DATABASE, actions=("glue:GetDatabase",), why="Athena asks for it"),
    )


def registration(*more: str, why: str) -> Rights:
    """Rights of a process that makes the table of streamed events and its partitions, through Athena.

    `more` are further actions on that table.
    """
    return (
        *bucket(read=(ATHENA_OUTPUT,), written=(ATHENA_OUTPUT,)),
        *athena(),
        Right(
            on=Resource.DATABASE,
            actions=("glue:CreateDatabase", "glue:GetDatabase"),
            why="Athena, for CREATE DATABASE IF NOT EXISTS",
        ),
        Right(
            on=Resource.TABLES,
            within=(EVENTS_TABLE,),
            actions=(
                "glue:BatchCreatePartition",
                "glue:CreatePartition",
                "glue:CreateTable",
                "glue:GetPartition",
                "glue:GetPartitions",
                "glue:GetTable",
                "glue:UpdateTable",
                *more,
            ),
            why=why,
        ),
    )
