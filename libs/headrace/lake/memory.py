"""An object store in a dict: for tests, and for what needs no durability."""

import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import xxhash

from headrace.errors import NotFoundError, RequestError
from headrace.lake.parts import PART_BYTES, cut
from headrace.lake.ports import Completion, ObjectInfo, StagedObject, Tail


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenUpload:
    """Parts that wait for their completion."""

    key: str
    upload_id: str
    parts: tuple[bytes, ...]


class MemoryStore:
    """`ObjectStore` and `Remover` in memory. Upload ids count from one, so that the same calls make the same ids.

    S3 answers the completion of a completed upload as it did the first time, until it has forgotten the upload. With
    `remembers_uploads` this store never forgets; without, it forgets at once, which asks more of the caller.
    """

    def __init__(self, *, remembers_uploads: bool = False, part_bytes: int = PART_BYTES) -> None:
        self._objects: dict[str, bytes] = {}
        self._etags: dict[str, str] = {}
        self._uploads: dict[str, OpenUpload] = {}
        self._completed: dict[str, OpenUpload] = {}
        self._created = 0
        self._remembers_uploads = remembers_uploads
        self._part_bytes = part_bytes

    @property
    def objects(self) -> Mapping[str, bytes]:
        """What is visible, by key."""
        return MappingProxyType(self._objects)

    @property
    def uploads(self) -> Mapping[str, OpenUpload]:
        """What is staged and neither completed nor expired, by upload id."""
        return MappingProxyType(self._uploads)

    def expire_uploads(self) -> None:
        """What the bucket's lifecycle rule does to uploads that nobody completed."""
        self._uploads.clear()

    async def put(self, key: str, body: bytes, *, metadata: Mapping[str, str] | None = None) -> None:  # noqa: ARG002 - the port has no way to read it back
        """Write an object, replacing one of the same key."""
        self._show(key, bytes(body), _etag(body))

    async def stage(self, key: str, body: bytes) -> StagedObject:
        """See `ObjectStore`."""
        self._created += 1
        parts = tuple(bytes(body[part]) for part in cut(len(body), self._part_bytes))
        upload = OpenUpload(key=key, upload_id=f"upload-{self._created:06}", parts=parts)
        self._uploads[upload.upload_id] = upload
        sha256 = hashlib.sha256(body).hexdigest()
        return StagedObject(
            key=key, upload_id=upload.upload_id, etags=tuple(map(_etag, parts)), sha256=sha256, size=len(body)
        )

    async def complete(self, staged: StagedObject) -> Completion:
        """See `ObjectStore`. Raises `RequestError` when the upload has other parts than `staged` says."""
        done = self._completed.get(staged.upload_id)
        if done is not None and done.key == staged.key:
            return Completion.DONE
        upload = self._uploads.get(staged.upload_id)
        if upload is None or upload.key != staged.key:
            return Completion.NO_UPLOAD
        if staged.key in self._objects:
            return Completion.KEY_TAKEN
        if tuple(map(_etag, upload.parts)) != staged.etags or sum(map(len, upload.parts)) != staged.size:
            raise RequestError(f"the parts of {staged.upload_id} are not those of {staged.key}")
        del self._uploads[staged.upload_id]
        if self._remembers_uploads:
            self._completed[staged.upload_id] = upload
        of_parts = _etag(b"".join(map(bytes.fromhex, staged.etags)))
        self._show(staged.key, b"".join(upload.parts), f"{of_parts}-{len(upload.parts)}")
        return Completion.DONE

    async def copy(self, source_key: str, key: str) -> None:
        """See `ObjectStore`. The copy of what was uploaded in parts has another ETag, as on S3."""
        body = await self.get(source_key)
        self._show(key, body, _etag(body))

    async def delete(self, keys: Iterable[str]) -> None:
        """See `Remover`."""
        for key in keys:
            self._objects.pop(key, None)
            self._etags.pop(key, None)

    async def get(self, key: str) -> bytes:
        """An object's bytes. Raises `NotFoundError`."""
        try:
            return self._objects[key]
        except KeyError:
            raise NotFoundError(f"no object {key!r}") from None

    async def head(self, key: str) -> ObjectInfo | None:
        """What is known of an object, or None."""
        if key not in self._objects:
            return None
        body = self._objects[key]
        sha256 = hashlib.sha256(body).hexdigest()
        return ObjectInfo(key=key, size=len(body), etag=self._etags[key], sha256=sha256)

    async def tail(self, key: str, count: int) -> Tail | None:
        """See `TailReader`."""
        info = await self.head(key)
        return None if info is None else Tail(info=info, body=self._objects[key][-count:])

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        """See `ObjectStore`. As of the time of the call."""
        for key in sorted(key for key in self._objects if key.startswith(prefix) and key > after):
            yield ObjectInfo(key=key, size=len(self._objects[key]), etag=self._etags[key])

    async def prefixes(self, prefix: str) -> AsyncIterator[str]:
        """The folders directly below `prefix`, each with its closing slash, in order."""
        rests = (key.removeprefix(prefix) for key in self._objects if key.startswith(prefix))
        for folder in sorted({rest[: rest.index("/") + 1] for rest in rests if "/" in rest}):
            yield prefix + folder

    def _show(self, key: str, body: bytes, etag: str) -> None:
        self._objects[key] = body
        self._etags[key] = etag


def _etag(body: bytes) -> str:
    """Of the form of S3's, which is an MD5 and takes far longer."""
    return xxhash.xxh3_128_hexdigest(body)
