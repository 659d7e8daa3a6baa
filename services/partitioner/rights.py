"""What the partitioner may do with AWS."""

from headrace.aws.rights import ATHENA_OUTPUT, EVENTS_TABLE, Resource, Right, Rights, athena, bucket

RIGHTS: Rights = (
    Right(
        on=Resource.QUEUE,
        actions=(
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:GetQueueUrl",
            "sqs:ReceiveMessage",
        ),
        why="notifications of new objects",
    ),
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
        ),
        why="Athena, for the table, columns that it lacks, and its partitions",
    ),
)
