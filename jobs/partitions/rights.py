"""What the comparison of bucket and table may do with AWS, repair included."""

from headrace.aws.rights import Rights, registration

RIGHTS: Rights = registration(
    "glue:BatchDeletePartition",
    "glue:DeletePartition",
    why="Athena, for the table and its partitions; hours without objects are dropped",
)
