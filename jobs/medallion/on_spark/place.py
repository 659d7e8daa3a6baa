"""The bucket, as a process on any machine of the cluster reaches it."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pyarrow import fs

from headrace.errors import ConfigError
from jobs.medallion.duck.files import Files

_S3 = {"s3", "s3a"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where keys are: `s3a://bucket` or `s3://bucket`, or a local folder. Small, so it travels with a task."""

    root: str
    region: str = ""

    @property
    def uri(self) -> str:
        """What Spark's own readers want before a key."""
        return self.root.rstrip("/") if "://" in self.root else Path(self.root).resolve().as_uri()

    def files(self, scratch: Path) -> Files:
        """The bucket's objects, with copies below `scratch`. Raises what Arrow raises."""
        return Files(*_open(self.root, self.region), scratch)


@lru_cache(4)
def _open(root: str, region: str) -> tuple[fs.FileSystem, str]:
    scheme, found, bucket = root.partition("://")
    if not found:
        return fs.LocalFileSystem(), str(Path(root).resolve())
    if scheme not in _S3:
        raise ConfigError([f"{root}: neither s3a:// nor a folder"])
    return fs.S3FileSystem(region=region or None, check_directory_existence_before_creation=False), bucket.rstrip("/")
