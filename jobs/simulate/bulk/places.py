"""Where the files go: the bucket, or a folder with the same keys below it."""

import asyncio
import os
from pathlib import Path
from typing import Protocol


class Place(Protocol):
    """Takes objects. Each appears whole or not at all, and replaces one of the same key."""

    async def put(self, key: str, body: bytes) -> None:
        """Write an object. Safe to repeat."""
        ...


class Folder:
    """A `Place` on disk. Raises `OSError`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, key: str, body: bytes) -> None:
        """See `Place`."""
        await asyncio.to_thread(self._write, self._root / key, body)

    @staticmethod
    def _write(path: Path, body: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            partial.write_bytes(body)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
