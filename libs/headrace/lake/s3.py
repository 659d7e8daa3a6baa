"""Objects on S3."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from headrace.aws.faults import aws_errors
from headrace.aws.retry import retry
from headrace.concurrency import for_each
from headrace.errors import NotFoundError, RequestError, UnavailableError
from headrace.lake.parts import PART_BYTES, cut
from headrace.lake.ports import Completion, ObjectInfo, StagedObject, Tail

T = TypeVar("T")

PAGE_KEYS = 1000
"""Most keys of one ListObjectsV2 (S3's own limit)."""

PARTS_AT_ONCE = 4
"""Most parts of one object on their way at the same time; each costs its size in memory once more."""

_SHA256 = "sha256"
"""Name of the metadata that carries the digest of the whole object."""

_REFUSALS = {
    "PreconditionFailed": Completion.KEY_TAKEN,
    "412": Completion.KEY_TAKEN,  # cut off, and it can mean nothing else
    "NoSuchUpload": Completion.NO_UPLOAD,
    "ConditionalRequestConflict": Completion.BUSY,
}
"""Error codes of CompleteMultipartUpload that are answers and not failures."""

_NO_SUCH_RANGE = "InvalidRange"


class S3Store:
    """`ObjectStore` over one bucket and an aiobotocore S3 client, which stays the caller's to close.

    Every body travels with a digest: S3 refuses what arrives damaged. The SHA-256 of the whole stands in the object's
    metadata, since S3's own checksum of an object made of parts is one of its parts' checksums.
    """

    def __init__(self, client: Any, bucket: str, *, page_keys: int = PAGE_KEYS, part_bytes: int = PART_BYTES) -> None:
        self._client = client
        self._bucket = bucket
        self._page_keys = page_keys
        self._part_bytes = part_bytes

    async def put(self, key: str, body: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        """Write an object, replacing one of the same key. `metadata` is ASCII text and becomes `x-amz-meta-…`."""
        digest = hashlib.sha256(body)
        await self._call(
            lambda: self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
                Metadata={**(metadata or {}), _SHA256: digest.hexdigest()},
            )
        )

    async def stage(self, key: str, body: bytes) -> StagedObject:
        """See `ObjectStore`. The parts travel `PARTS_AT_ONCE` at a time, each repeated by itself."""
        sha256 = (await asyncio.to_thread(hashlib.sha256, body)).hexdigest()
        created = await self._call(
            lambda: self._client.create_multipart_upload(Bucket=self._bucket, Key=key, Metadata={_SHA256: sha256})
        )
        upload_id = created["UploadId"]
        etags: dict[int, str] = {}

        async def send(numbered: tuple[int, slice]) -> None:
            number, part = numbered
            etags[number] = await self._send_part(key, upload_id, number, body[part])

        await for_each(enumerate(cut(len(body), self._part_bytes), start=1), send, limit=PARTS_AT_ONCE)
        return StagedObject(
            key=key,
            upload_id=upload_id,
            etags=tuple(etags[number] for number in sorted(etags)),
            sha256=sha256,
            size=len(body),
        )

    async def _send_part(self, key: str, upload_id: str, number: int, part: bytes) -> str:
        """One part → its ETag.

        Its digest is a Content-MD5, which S3 compares and forgets. A part sent with one of the newer checksums must be
        named together with that checksum again when the upload is completed, and the manifest would have to carry it.
        """
        digest = await asyncio.to_thread(hashlib.md5, part, usedforsecurity=False)
        answer = await self._call(
            lambda: self._client.upload_part(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                PartNumber=number,
                Body=part,
                ContentMD5=base64.b64encode(digest.digest()).decode(),
            )
        )
        return _bare(answer["ETag"])

    async def complete(self, staged: StagedObject) -> Completion:
        """See `ObjectStore`. An answer that was lost is an `UnavailableError`: the object may be visible or not.

        Not repeated here: a repetition meets the object of the first request and is refused because of it, and only
        the caller can tell that object from somebody else's. S3 may also begin with a 200 and fail afterwards, which
        botocore treats as the failure that it is.
        """
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(staged.etags, start=1)]
        with aws_errors():
            try:
                answer = await self._client.complete_multipart_upload(
                    Bucket=self._bucket,
                    Key=staged.key,
                    UploadId=staged.upload_id,
                    MultipartUpload={"Parts": parts},
                    MpuObjectSize=staged.size,
                    IfNoneMatch="*",
                )
            except ClientError as error:
                refusal = _REFUSALS.get(error.response.get("Error", {}).get("Code", ""))
                if refusal is None:
                    raise
                return refusal
        if "ETag" not in answer:  # an empty body: the connection ended before S3 had decided
            raise UnavailableError(f"S3 did not say what became of {staged.key}")
        return Completion.DONE

    async def copy(self, source_key: str, key: str) -> None:
        """See `ObjectStore`. S3 may begin with a 200 and fail afterwards, which botocore treats as a failure."""

        async def copied() -> None:
            answer = await self._client.copy_object(
                Bucket=self._bucket, Key=key, CopySource={"Bucket": self._bucket, "Key": source_key}
            )
            if "ETag" not in answer.get("CopyObjectResult", {}):  # an empty body: cut off, as in `complete`
                raise UnavailableError(f"S3 did not say whether {source_key} was copied to {key}")

        try:
            await self._call(copied)
        except RequestError as error:
            raise RequestError(f"{source_key} cannot be copied to {key}: {error}") from error

    async def get(self, key: str) -> bytes:
        """An object's bytes. Raises `NotFoundError`."""

        async def read() -> bytes:
            response = await self._client.get_object(Bucket=self._bucket, Key=key)
            async with response["Body"] as stream:
                body = bytes(await stream.read())
            noted = response.get("Metadata", {}).get(_SHA256)
            if noted is not None and noted != hashlib.sha256(body).hexdigest():
                raise UnavailableError(f"{key} did not arrive as it was written")
            return body

        return await self._call(read)

    async def head(self, key: str) -> ObjectInfo | None:
        """What is known of an object, or None."""
        try:
            found = await self._call(lambda: self._client.head_object(Bucket=self._bucket, Key=key))
        except NotFoundError:
            return None
        sha256 = found.get("Metadata", {}).get(_SHA256)
        return ObjectInfo(key=key, size=found["ContentLength"], etag=_bare(found["ETag"]), sha256=sha256)

    async def tail(self, key: str, count: int) -> Tail | None:
        """See `TailReader`. An empty object has no last byte to ask for: S3 says 416, which takes a second request."""

        async def read() -> Tail | None:
            try:
                response = await self._client.get_object(Bucket=self._bucket, Key=key, Range=f"bytes=-{count}")
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") != _NO_SUCH_RANGE:
                    raise
                return None
            async with response["Body"] as stream:
                body = bytes(await stream.read())
            _, _, total = response.get("ContentRange", "").rpartition("/")
            size = int(total or len(body))
            if len(body) < min(count, size):
                raise UnavailableError(f"of the last {count} bytes of {key} only {len(body)} arrived")
            info = ObjectInfo(
                key=key,
                size=size,
                etag=_bare(response["ETag"]),
                sha256=response.get("Metadata", {}).get(_SHA256),
            )
            return Tail(info=info, body=body[-count:])

        try:
            found = await self._call(read)
        except NotFoundError:
            return None
        if found is None and (empty := await self.head(key)) is not None:
            return Tail(info=empty, body=b"")
        return found

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        """See `ObjectStore`."""
        async for page in self._pages(Prefix=prefix, **({"StartAfter": after} if after else {})):
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
