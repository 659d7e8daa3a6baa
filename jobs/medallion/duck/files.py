"""Objects of the bucket through `pyarrow.fs`: read where they are, or copied to and from a scratch folder."""

import contextlib
import errno
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

from headrace.errors import AccessError, ConflictError, HeadraceError, NotFoundError, StopError, UnavailableError

DOWNLOADS = 4
"""Files that are fetched at a time."""
_UPLOADS = 2
"""Files that are uploaded at a time."""
_STEP = 8 << 20
"""Bytes that are read in one request."""
_FORBIDDEN = ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "EXPIRED_TOKEN", "status 403")

_PARQUET = ds.ParquetFileFormat(default_fragment_scan_options=ds.ParquetFragmentScanOptions(pre_buffer=True))
_MISSING = ("NO_SUCH_BUCKET", "NO_SUCH_KEY", "NO_SUCH_UPLOAD")
"""How the errors of Arrow's S3 client spell what is wrong with the request, or missing."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Files:
    """One bucket, and the copies of its objects below `scratch`. Safe for several threads.

    What a run writes stays in scratch under its key, so that the next step need not fetch it. All methods raise the
    `HeadraceError` that fits, naming the key.
    """

    def __init__(self, files: fs.FileSystem, bucket: str, scratch: Path) -> None:
        self.scratch = scratch
        self._files = files
        self._bucket = bucket
        self._copies = scratch / "objects"
        self._has_folders = isinstance(_base(files), fs.LocalFileSystem)

    def fetch(self, key: str, to: Path, *, etag: str | None = None) -> Path:
        """Copy an object to a path. Raises `ConflictError` when its ETag is known to be another one by now."""
        to.parent.mkdir(parents=True, exist_ok=True)
        with (
            reaching(key),
            self._files.open_input_stream(self._path(key), compression=None) as source,
            to.open("wb") as target,
        ):
            found = (source.metadata() or {}).get(b"ETag", b"").decode().strip('"')
            if etag and found and found != etag.strip('"'):
                raise ConflictError(f"{key} was replaced after it had been listed; the next run will see it")
            while len(part := source.read_buffer(_STEP)):
                target.write(part)
        return to

    def local(self, key: str) -> Path:
        """The copy of an object of ours in scratch, fetched when it is not there yet."""
        path = self.place(key)
        if not path.exists():
            self.fetch(key, path.with_name(f"{path.name}.part")).replace(path)
        return path

    def place(self, key: str) -> Path:
        """Where the copy of an object of ours belongs. Its folder exists."""
        path = self._copies / key
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def parquet(self, key: str) -> pq.ParquetFile:
        """An object for reading: its copy when there is one, else in ranges from the bucket."""
        path = self.place(key)
        with reaching(key):
            return pq.ParquetFile(str(path) if path.exists() else self._files.open_input_file(self._path(key)))

    def dataset(self, keys: Sequence[str], schema: pa.Schema) -> ds.Dataset:
        """Those columns of Parquet objects in the bucket, read in ranges when they are asked for."""
        coded = [field.name for field in schema if pa.types.is_dictionary(field.type)]
        kind = ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(dictionary_columns=coded))
        parts = [kind.make_fragment(self._path(key), self._files) for key in keys]
        return ds.FileSystemDataset(parts, schema, kind, self._files)

    def upload(self, key: str) -> None:
        """Write the object from its copy in scratch. Returns once it is there as a whole."""
        path = self.place(key)
        self._make_folder(key)
        with reaching(key):
            with pa.OSFile(str(path)) as source, self._write(key) as target:
                while len(part := source.read_buffer(_STEP)):
                    target.write(part)
            there = self._files.get_file_info(self._path(key))
        if there.size != path.stat().st_size:  # Arrow's S3 client was seen to lose a part without an error
            raise UnavailableError(f"{key}: {there.size} of {path.stat().st_size} bytes arrived")

    def put(self, key: str, body: bytes) -> None:
        """Write a small object."""
        self._make_folder(key)
        with reaching(key), self._write(key) as target:
            target.write(body)

    def _path(self, key: str) -> str:
        return f"{self._bucket}/{key}"

    def _write(self, key: str) -> pa.NativeFile:
        return self._files.open_output_stream(self._path(key), compression=None)

    def _make_folder(self, key: str) -> None:
        if self._has_folders:  # in S3 a folder would be an object
            self._files.create_dir(self._path(key).rpartition("/")[0], recursive=True)


class Uploads:
    """Objects on their way from scratch into the bucket, behind the back of who makes them."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._pool = ThreadPoolExecutor(_UPLOADS)
        self._under_way: dict[str, Future[None]] = {}

    def start(self, key: str) -> None:
        """Upload the copy in scratch, soon. Raises what an upload before has failed with."""
        for done in [key for key, upload in self._under_way.items() if upload.done()]:
            self._under_way.pop(done).result()
        self._under_way[key] = self._pool.submit(self._files.upload, key)

    def drop(self, key: str) -> None:
        """Nobody wants the object any more: its copy goes, and it is not uploaded unless it was already."""
        upload = self._under_way.pop(key, None)
        if upload is not None and not upload.cancel():
            upload.result()
        self._files.place(key).unlink(missing_ok=True)

    def wait(self) -> None:
        """Return once all objects are in the bucket. Raises what the first upload that failed has failed with."""
        while self._under_way:
            self._under_way.pop(next(iter(self._under_way))).result()

    def close(self) -> None:
        """Start no more uploads, and return once those that were started have ended."""
        self._pool.shutdown(cancel_futures=True)


def in_order(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Generator[Result]:
    """Results in the order of the items; up to `ahead` of them are worked on, or wait, while one is dealt with."""
    under_way: deque[Future[Result]] = deque()
    try:
        for item in items:
            under_way.append(pool.submit(function, item))
            if len(under_way) > ahead:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        for future in under_way:
            future.cancel()


@contextlib.contextmanager
def reaching(key: str) -> Iterator[None]:
    """What Arrow says of an object of the bucket → our errors."""
    try:
        yield
    except OSError as error:
        raise _fault(key, error) from error
    except pa.ArrowInvalid as error:
        raise StopError(f"{key} is not what was written there: {error}") from error


def _fault(key: str, error: OSError) -> HeadraceError:
    text = str(error)
    if error.errno == errno.ENOSPC:
        return StopError(f"no room in the scratch folder for {key}: {text}")
    if isinstance(error, FileNotFoundError) or any(sign in text for sign in _MISSING):
        return NotFoundError(f"{key} is not there (any more): {text}")
    if isinstance(error, PermissionError) or any(sign in text for sign in _FORBIDDEN):
        return AccessError(f"not allowed: {key}: {text}")
    return UnavailableError(f"{key}: {text}")


def _base(files: fs.FileSystem) -> fs.FileSystem:
    while isinstance(files, fs.SubTreeFileSystem):
        files = files.base_fs
    return files
