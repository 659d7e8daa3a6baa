"""What the comparison of bucket and table may do with AWS, repair included."""

from headrace.aws.rights import ATHENA_OUTPUT, EVENTS_TABLE, Resource, Right, Rights, athena, bucket

RIGHTS: Rights = (
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
            "glue:BatchDeletePartition",
            "glue:CreatePartition",
            "glue:CreateTable",
            "glue:DeletePartition",
            "glue:GetPartition",
            "glue:GetPartitions",
            "glue:GetTable",
            "glue:UpdateTable",
        ),
        why="Athena, for the table and its partitions; hours without objects are dropped",
    ),
)
