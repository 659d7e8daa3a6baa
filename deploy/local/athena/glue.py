"""Databases, tables, views and partitions in the Glue API: the endpoint keeps nothing of its own."""

from collections.abc import Iterable, Sequence

from botocore.config import Config
from botocore.session import Session

from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.glue_items import Partition, Table, folder, read_table, storage_descriptor, table_input
from headrace.aws.faults import aws_errors
from headrace.errors import NotFoundError

BATCH_CREATE = 100
"""Glue's limit for BatchCreatePartition."""


class Glue:
    """The catalogue, for worker threads. Raises the errors of `headrace.errors` when Glue does not answer."""

    def __init__(self, region: str) -> None:
        self._glue = Session().create_client(
            "glue",
            region_name=region,
            config=Config(max_pool_connections=32, retries={"mode": "standard", "total_max_attempts": 3}),
        )

    def databases(self) -> list[str]:
        """Names, sorted."""
        with aws_errors():
            pages = self._glue.get_paginator("get_databases").paginate()
            return sorted(database["Name"] for page in pages for database in page["DatabaseList"])

    def has_database(self, name: str) -> bool:
        """Whether the database is there."""
        try:
            with aws_errors():
                self._glue.get_database(Name=name)
        except NotFoundError:
            return False
        return True

    def create_database(self, name: str, comment: str, location: str | None) -> bool:
        """False when it was there already."""
        database = {"Name": name, "Description": comment} | ({"LocationUri": location} if location else {})
        with aws_errors():
            try:
                self._glue.create_database(DatabaseInput=database)
            except self._glue.exceptions.AlreadyExistsException:
                return False
        return True

    def drop_database(self, name: str) -> None:
        """With all its tables."""
        with aws_errors():
            self._glue.delete_database(Name=name)

    def tables(self, database: str) -> list[Table]:
        """Tables and views, by name."""
        with aws_errors():
            pages = self._glue.get_paginator("get_tables").paginate(DatabaseName=database)
            return sorted(
                (read_table(item) for page in pages for item in page["TableList"]), key=lambda table: table.name
            )

    def table(self, database: str, name: str) -> Table | None:
        """The table or view, or None."""
        try:
            with aws_errors():
                return read_table(self._glue.get_table(DatabaseName=database, Name=name)["Table"])
        except NotFoundError:
            return None

    def create_table(self, table: Table) -> bool:
        """False when it was there already."""
        with aws_errors():
            try:
                self._glue.create_table(DatabaseName=table.database, TableInput=table_input(table))
            except self._glue.exceptions.AlreadyExistsException:
                return False
        return True

    def replace_table(self, table: Table) -> None:
        """Give an existing table or view another definition; its partitions stay."""
        with aws_errors():
            self._glue.update_table(DatabaseName=table.database, TableInput=table_input(table))

    def drop_table(self, table: Table) -> None:
        """With its partitions; the data stays where it is."""
        with aws_errors():
            self._glue.delete_table(DatabaseName=table.database, Name=table.name)

    def partitions(self, table: Table) -> list[Partition]:
        """All that are registered."""
        with aws_errors():
            pages = self._glue.get_paginator("get_partitions").paginate(
                DatabaseName=table.database, TableName=table.name, ExcludeColumnSchema=True
            )
            return [
                Partition(values=tuple(item["Values"]), location=folder(item["StorageDescriptor"]["Location"]))
                for page in pages
                for item in page["Partitions"]
            ]

    def add_partitions(self, table: Table, partitions: Sequence[Partition]) -> int:
        """Register those that are not there yet; how many that were."""
        return sum(
            self._add_batch(table, partitions[start : start + BATCH_CREATE])
            for start in range(0, len(partitions), BATCH_CREATE)
        )

    def move_partition(self, table: Table, partition: Partition) -> None:
        """Look for a registered partition's files elsewhere."""
        entry = {
            "PartitionValueList": list(partition.values),
            "PartitionInput": {
                "Values": list(partition.values),
                "StorageDescriptor": storage_descriptor(table, partition.location),
            },
        }
        with aws_errors():
            self._glue.batch_update_partition(DatabaseName=table.database, TableName=table.name, Entries=[entry])

    def drop_partitions(self, table: Table, values: Iterable[tuple[str, ...]]) -> None:
        """Forget them; the data stays where it is. One by one: the emulator has no BatchDeletePartition."""
        for one in values:
            with aws_errors():
                self._glue.delete_partition(
                    DatabaseName=table.database, TableName=table.name, PartitionValues=list(one)
                )

    def _add_batch(self, table: Table, batch: Sequence[Partition]) -> int:
        inputs = [
            {"Values": list(partition.values), "StorageDescriptor": storage_descriptor(table, partition.location)}
            for partition in batch
        ]
        with aws_errors():
            reply = self._glue.batch_create_partition(
                DatabaseName=table.database, TableName=table.name, PartitionInputList=inputs
            )
        errors = [error["ErrorDetail"] for error in reply.get("Errors", [])]
        for error in errors:
            if error["ErrorCode"] != "AlreadyExistsException":
                raise QueryFailedError(f"{error['ErrorCode']}: {error.get('ErrorMessage', '')}")
        return len(batch) - len(errors)
