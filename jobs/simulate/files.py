"""Shoppers in a file, one event a line."""

import gzip
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

from jobs.simulate.shoppers import Item

_LEVEL = 3


def write_file(path: Path, items: Iterable[Item]) -> int:
    """Write `items` to `path`, gzipped if it ends in `.gz`, and return the size of the file in bytes.

    Equal items make equal bytes. The file appears only when it is whole. Raises `OSError`.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with ExitStack() as stack:
            out: BinaryIO = stack.enter_context(partial.open("wb"))
            if path.suffix == ".gz":
                packed = gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=_LEVEL, mtime=0)
                out = cast("BinaryIO", stack.enter_context(packed))
            out.writelines(item.data + b"\n" for item in items)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path.stat().st_size
