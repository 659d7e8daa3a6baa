"""What Headrace asks of an object store."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """An object without its bytes."""

    key: str
    size: int
    etag: str
    sha256: str | None = None
    """Of the bytes, hex, as whoever staged the object noted it; known from `head` only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedObject:
    """An upload whose bytes are all in the store and that nobody sees. Enough for any process to complete it."""

    key: str
    upload_id: str
    etags: tuple[str, ...]
    """Of its parts, in order."""
    sha256: str
    """Of the whole, hex."""
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The end of an object."""

    info: ObjectInfo
    body: bytes
    """Its last bytes; all of them when there are no more than were asked for."""


class Completion(StrEnum):
    """What a store says to the wish to make a staged object visible."""

    DONE = auto()
    """It is visible now; or it was this very upload that made it visible before."""
    KEY_TAKEN = auto()
    """An object of this key exists (S3: 412)."""
    NO_UPLOAD = auto()
    """The upload is unknown: completed, or removed (S3: NoSuchUpload)."""
    BUSY = auto()
    """Another write of this key is under way (S3: 409)."""


class ObjectStore(Protocol):
    """One bucket. An object appears whole or not at all."""

    async def put(self, key: str, body: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        """Write an object, replacing one of the same key. Retries inside; safe to repeat."""
        ...

    async def stage(self, key: str, body: bytes) -> StagedObject:
        """Upload an object in parts without making it visible. Called again it makes another upload.

        Uploads that are never completed are the business of a lifecycle rule of the bucket: no worker removes one.
        """
        ...

    async def complete(self, staged: StagedObject) -> Completion:
        """Make a staged object visible if no object of its key exists. One request; the caller knows what is next."""
        ...

    async def copy(self, source_key: str, key: str) -> None:
        """Make `key` an object with the bytes and metadata of another, inside the store, replacing one of that key.

        Retries inside; safe to repeat. The source has at most 5 GB (S3 copies no more in one request), else
        `RequestError`. Raises `NotFoundError` when there is no source.
        """
        ...

    async def get(self, key: str) -> bytes:
        """An object's bytes. Raises `NotFoundError`."""
        ...

    async def head(self, key: str) -> ObjectInfo | None:
        """What is known of an object, or None."""
        ...

    def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        """All objects below `prefix` whose key is greater than `after`, in order of key."""
        ...

    def prefixes(self, prefix: str) -> AsyncIterator[str]:
        """The folders directly below `prefix`, each with its closing slash, in order."""
        ...


@runtime_checkable
class TailReader(Protocol):
    """Looks at the end of objects, where Parquet says what it holds."""

    async def tail(self, key: str, count: int) -> Tail | None:
        """What `head` knows of an object and its last `count` bytes, in one request; None when there is none."""
        ...


class Remover(Protocol):
    """Deletes objects of one bucket: a port of its own, so that what never deletes holds nothing that could."""

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; a key without an object is no error. Retries inside; safe to repeat.

        Raises what became of the first object that could not be deleted; others may be gone by then.
        """
        ...
