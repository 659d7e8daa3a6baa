"""What the partitioner may do with AWS."""

from headrace.aws.rights import Resource, Right, Rights, registration

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
    *registration(why="Athena, for the table, columns that it lacks, and its partitions"),
)
