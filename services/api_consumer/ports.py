"""What the poller asks of a source: pages of payloads, in order, from a position on."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a source gave in one turn. Without payloads it only says that the source still turns."""

    payloads: Sequence[bytes | msgspec.Raw]
    place: str
    """Names the page within its source; the same payloads read again come under the same place."""
    first_index: int = 0
    """Of its first payload within the place."""
    after: Any
    """The position behind this page: JSON, meant for the source alone."""
    exhausted: bool = False
    """Nothing follows for now."""


Pages = AsyncGenerator[Page, None]


class Source(Protocol):
    """Somewhere events come from."""

    @property
    def source_id(self) -> str:
        """Names the source's cursor. Another file or URL has another one."""
        ...

    @property
    def name(self) -> str:
        """For the column `source` of events that do not say it."""
        ...

    def pages(self, position: Any) -> Pages:
        """Pages from a position on (None: the start), until the source ends, if it ever does.

        Waits inside for what is not there yet, and yields at least once a minute. Raises `StopError` when going on is
        no use.
        """
        ...
