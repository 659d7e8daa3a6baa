"""What decoding hands on."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from headrace.errors import HeadraceError
from headrace.quarantine import Envelope


class UnreadableFileError(HeadraceError):
    """A file of bronze cannot be read at all, or not to its end; the text says why. No row of it counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """Some of the lines of a file, in their order: rows + rejected = lines; blank lines do not count."""

    rows: pa.Table
    """`EVENT_SCHEMA`, half a million rows or so at most."""
    rejected: Sequence[Envelope]
