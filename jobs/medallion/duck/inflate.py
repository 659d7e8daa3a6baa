"""What is in a gzipped file, for readers that want it plain."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

from isal.igzip import IGzipFile
from isal.igzip_lib import IsalError

from jobs.medallion.duck.portion import UnreadableFileError

INFLATED_BYTES = 4 << 30
"""Of a file, in scratch. What would be more, an archive made to explode perhaps, is read without being written."""
_KEPT_BYTES = 256 << 20
"""Of a slot that nobody uses: larger ones give their room back."""
_STEP = 256 << 10
"""Bytes inflated at a time: few enough to stay in a processor's cache until they are written."""


class Slots:
    """Files that what is inflated is written to, over and over: new pages would cost as much as the inflating.

    As many as are in use at a time, of `up_to` bytes at most. Safe for several threads.
    """

    def __init__(self, up_to: int = INFLATED_BYTES) -> None:
        self._up_to = up_to
        self._lock = threading.Lock()
        self._made = 0
        self._free: list[Path] = []

    @contextmanager
    def inflated(self, path: Path) -> Iterator[Path | None]:
        """A file, beside the gzipped one, with what is in it; None when that is more than `up_to` bytes.

        Raises `UnreadableFileError` when the gzipped file breaks off or is no gzip, to its last checksum. DuckDB could
        read gzip itself, but takes twice as long for it, and does not look at checksums.
        """
        with self._lock:
            slot = self._free.pop() if self._free else self._new(path.parent)
        try:
            yield slot if _inflate(path, slot, self._up_to) else None
        finally:
            if slot.stat().st_size > _KEPT_BYTES:
                os.truncate(slot, 0)
            self._free.append(slot)

    def _new(self, folder: Path) -> Path:
        self._made += 1
        slot = folder / f"inflated-{self._made}.jsonl"
        slot.touch()
        return slot


@contextmanager
def gzipped(path: Path) -> Iterator[BufferedIOBase]:
    """The file, opened for reading what is in it. What is wrong with it is raised as `UnreadableFileError`."""
    if not path.stat().st_size:
        raise UnreadableFileError("empty: not even the header of a gzip file")
    with IGzipFile(path) as file:
        try:
            yield file
        except EOFError as error:
            raise UnreadableFileError(f"broken off: {error}") from error
        except (OSError, IsalError) as error:
            raise UnreadableFileError(f"no gzip, or a damaged one: {error}") from error


def _inflate(path: Path, to: Path, up_to: int) -> bool:
    done = 0
    with to.open("r+b", buffering=0) as target:
        for part in _parts(path):
            done += len(part)
            if done > up_to:
                target.truncate(0)
                return False
            target.write(part)
        target.truncate()
    return True


def _parts(path: Path) -> Iterator[memoryview]:
    """What is in a gzipped file. Each part is good until the next is asked for."""
    part = memoryview(bytearray(_STEP))
    with gzipped(path) as file:
        while size := file.readinto(part):
            yield part[:size]
