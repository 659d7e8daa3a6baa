"""How a body is cut into the parts of an upload. S3 wants 5 MiB or more in each but the last, and 10,000 at most."""

PART_BYTES = 16 * 1024 * 1024


def cut(size: int, part_bytes: int = PART_BYTES) -> list[slice]:
    """Where the parts of `size` bytes begin and end. An empty body has one part, which is empty."""
    return [slice(start, min(start + part_bytes, size)) for start in range(0, max(size, 1), part_bytes)]
