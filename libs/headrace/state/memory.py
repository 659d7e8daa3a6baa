"""Documents in memory, for tests and simulations."""

from typing import Any

from headrace.errors import ConflictError
from headrace.state.codec import decode, encode
from headrace.state.ports import Document


class MemoryStateStore:
    """A `StateStore` in a dict of JSON texts, so that no caller can change what is stored."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[int, bytes]] = {}

    async def get(self, key: str) -> Document | None:
        """See `StateStore`."""
        return self._document(key) if key in self._rows else None

    async def put(self, key: str, value: dict[str, Any], *, expected: int) -> int:
        """See `StateStore`."""
        body = encode(key, value)
        version, _ = self._rows.get(key, (0, b""))
        if version != expected:
            raise ConflictError(f"document {key} is at version {version}, not {expected}")
        self._rows[key] = (version + 1, body)
        return version + 1

    async def list(self, prefix: str) -> dict[str, Document]:
        """See `StateStore`."""
        return {key: self._document(key) for key in sorted(self._rows) if key.startswith(prefix)}

    def _document(self, key: str) -> Document:
        version, body = self._rows[key]
        return Document(value=decode(body), version=version)
