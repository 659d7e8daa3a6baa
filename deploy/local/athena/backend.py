"""The endpoint's wiring, apart from `__main__` because its imports (DuckDB, pyarrow, sqlglot) take seconds."""

import contextlib
from collections.abc import Callable, Iterator

from botocore.session import Session
from pyarrow import fs

from deploy.local.athena.api import AthenaApi
from deploy.local.athena.catalog_statements import CatalogStatements
from deploy.local.athena.data_catalog import DataCatalog
from deploy.local.athena.engine import Engine
from deploy.local.athena.executions import Executions
from deploy.local.athena.glue import Glue
from deploy.local.athena.prepared import PreparedStatements
from deploy.local.athena.runner import StatementRunner
from deploy.local.athena.scan import Lake
from deploy.local.athena.sink import Sink
from deploy.local.athena.workgroups import Workgroups
from deploy.local.athena.writes import Writes
from headrace.aws.faults import aws_errors
from headrace.clock import SystemClock


def bucket_files(region: str, endpoint: str) -> fs.S3FileSystem:
    """All buckets of the emulator, addressed by path."""
    credentials = Session().get_credentials()
    scheme, _, address = endpoint.partition("://")
    return fs.S3FileSystem(
        access_key=credentials.access_key,
        secret_key=credentials.secret_key,
        region=region,
        scheme=scheme,
        endpoint_override=address.rstrip("/"),
        check_directory_existence_before_creation=False,
    )


def object_remover(region: str, endpoint: str) -> Callable[[str], None]:
    """Deletes one object of the emulator, by `bucket/key`."""
    s3 = Session().create_client("s3", region_name=region, endpoint_url=endpoint)

    def remove(path: str) -> None:
        bucket, _, key = path.partition("/")
        with aws_errors():
            s3.delete_object(Bucket=bucket, Key=key)

    return remove


@contextlib.contextmanager
def athena(region: str, endpoint: str) -> Iterator[AthenaApi]:
    """The endpoint without its HTTP side."""
    glue, files = Glue(region), bucket_files(region, endpoint)
    with contextlib.closing(Lake(files)) as lake, contextlib.closing(Engine(glue, lake)) as engine:
        remembered = Workgroups(region, endpoint)
        prepared = PreparedStatements(remembered)
        catalog, writes = (
            CatalogStatements(glue, lake, engine.describe),
            Writes(glue, engine, Sink(files, object_remover(region, endpoint))),
        )
        runner = StatementRunner(catalog, writes, prepared, engine, files)
        with contextlib.closing(Executions(runner, SystemClock())) as executions:
            yield AthenaApi(executions, runner, remembered, prepared, DataCatalog(glue))
