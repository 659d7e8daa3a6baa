"""Objects on S3."""

import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from headrace.aws.faults import aws_errors
from headrace.aws.retry import retry
from headrace.errors import NotFoundError
from headrace.lake.ports import ObjectInfo

T = TypeVar("T")

PAGE_KEYS = 1000
"""Most keys of one ListObjectsV2 (S3's own limit)."""


class S3Store:
    """`ObjectStore` over one bucket and an aiobotocore S3 client, which stays the caller's to close.

    Every body travels with its SHA-256: S3 refuses what arrives damaged, and keeps the checksum beside the object.
    """

    def __init__(self, client: Any, bucket: str, *, page_keys: int = PAGE_KEYS) -> None:
        self._client = client
        self._bucket = bucket
        self._page_keys = page_keys

    async def put(self, key: str, body: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        """Write an object, replacing one of the same key. `metadata` is ASCII text and becomes `x-amz-meta-…`."""
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        await self._call(
            lambda: self._client.put_object(
                Bucket=self._bucket, Key=key, Body=body, ChecksumSHA256=checksum, Metadata=dict(metadata or {})
            )
        )

    async def get(self, key: str) -> bytes:
        """An object's bytes. Raises `NotFoundError`."""

        async def read() -> bytes:
            response = await self._client.get_object(Bucket=self._bucket, Key=key)
            async with response["Body"] as stream:
                return bytes(await stream.read())

        return await self._call(read)

    async def head(self, key: str) -> ObjectInfo | None:
        """What is known of an object, or None."""
        try:
            found = await self._call(lambda: self._client.head_object(Bucket=self._bucket, Key=key))
        except NotFoundError:
            return None
        return ObjectInfo(key=key, size=found["ContentLength"], etag=_bare(found["ETag"]))

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """All objects below `prefix`, in order of key."""
        async for page in self._pages(Prefix=prefix):
            for item in page.get("Contents", ()):
                yield ObjectInfo(key=item["Key"], size=item["Size"], etag=_bare(item["ETag"]))

    async def prefixes(self, prefix: str) -> AsyncIterator[str]:
        """The folders directly below `prefix`, each with its closing slash, in order."""
        async for page in self._pages(Prefix=prefix, Delimiter="/"):
            for item in page.get("CommonPrefixes", ()):
                yield item["Prefix"]

    async def _pages(self, **query: str) -> AsyncIterator[dict[str, Any]]:
        while True:
            page = await self._call(
                lambda: self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=self._page_keys, **query)
            )
            yield page
            if not page.get("IsTruncated"):
                return
            query["ContinuationToken"] = page["NextContinuationToken"]

    @staticmethod
    async def _call(call: Callable[[], Awaitable[T]]) -> T:
        async def once() -> T:
            with aws_errors():
                return await call()

        return await retry(once)


def _bare(etag: str) -> str:
    return etag.strip('"')
