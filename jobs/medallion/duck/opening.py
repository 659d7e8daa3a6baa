"""DuckDB's engine on the bucket of the environment. A module of its own, since its imports take most of a second."""

import os
from pathlib import Path

from pyarrow import fs

from headrace.settings import Settings
from jobs.medallion.duck.engine import DuckEngine
from jobs.medallion.ports import Engine

_PATIENCE_SECONDS = 30.0
"""Without a byte, before a request is given up. The SDK's own three seconds are few for an emulator under load."""
_ATTEMPTS = 6


def open_engine(settings: Settings, scratch: Path) -> Engine:
    """The engine. Credentials are found in the way of the AWS SDK, and renewed by Arrow's own client."""
    return DuckEngine(
        bucket_files(settings.region),
        settings.bucket,
        scratch,
        settings,
        memory_limit=f"{settings.medallion_memory >> 20}MiB",
        threads=settings.medallion_threads,
    )


def bucket_files(region: str) -> fs.S3FileSystem:
    """All buckets that the environment reaches, those of another endpoint by path."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "https://"
    scheme, _, address = endpoint.partition("://")
    return fs.S3FileSystem(
        region=region,
        scheme=scheme,
        endpoint_override=address.rstrip("/") or None,
        check_directory_existence_before_creation=False,
        request_timeout=_PATIENCE_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
    )
