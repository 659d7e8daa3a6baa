"""What every object store promises of uploads that are staged first and completed later, on memory and on S3."""

import asyncio
import io
from dataclasses import replace
from typing import Any

import pytest
import stamina

from headrace.aws.session import AwsSession
from headrace.errors import NotFoundError, RequestError, UnavailableError
from headrace.lake.ports import Completion, ObjectStore, StagedObject
from headrace.lake.s3 import S3Store
from tests.contract.lake.world import PART, Bucket, sha256


async def test_what_is_staged_is_seen_by_nobody(store: ObjectStore) -> None:
    await store.stage("events/a", b"body")
    assert await store.head("events/a") is None
    with pytest.raises(NotFoundError):
        await store.get("events/a")
    assert [info async for info in store.list("")] == []


async def test_a_completed_object_is_what_was_staged(store: ObjectStore) -> None:
    for size, parts in ((0, 1), (1, 1), (PART - 1, 1), (PART, 1), (PART + 1, 2), (12 * PART + 3, 13)):
        key, body = f"events/{size}", bytes(n % 251 for n in range(size))
        staged = await store.stage(key, body)
        assert (staged.key, staged.size, staged.sha256, len(staged.etags)) == (key, size, sha256(body), parts)
        assert await store.complete(staged) is Completion.DONE
        assert await store.get(key) == body
        head = await store.head(key)
        assert head is not None
        assert (head.size, head.sha256) == (size, sha256(body))


async def test_what_is_staged_twice_becomes_visible_once(store: ObjectStore) -> None:
    first, second = await store.stage("a", b"first"), await store.stage("a", b"second")
    assert first.upload_id != second.upload_id
    assert await store.complete(second) is Completion.DONE
    assert await store.complete(first) is Completion.KEY_TAKEN
    assert await store.get("a") == b"second"


async def test_an_object_that_is_there_is_not_replaced(store: ObjectStore) -> None:
    staged = await store.stage("a", b"staged")
    await store.put("a", b"there")
    assert await store.complete(staged) is Completion.KEY_TAKEN
    assert await store.get("a") == b"there"


async def test_of_many_uploads_that_are_completed_at_once_one_becomes_visible(store: ObjectStore) -> None:
    uploads = [await store.stage("a", f"body {n}".encode()) for n in range(8)]
    results = await asyncio.gather(*map(store.complete, uploads))
    [winner] = [upload for upload, result in zip(uploads, results, strict=True) if result is Completion.DONE]
    assert set(results) - {Completion.DONE} <= {Completion.KEY_TAKEN, Completion.BUSY}
    assert sha256(await store.get("a")) == winner.sha256


async def test_completing_again_changes_nothing(store: ObjectStore) -> None:
    staged = await store.stage("a", b"body")
    await store.complete(staged)
    before = await store.head("a")
    assert await store.complete(staged) in {Completion.DONE, Completion.NO_UPLOAD, Completion.KEY_TAKEN}
    assert await store.head("a") == before


async def test_an_upload_that_never_was_is_told(store: ObjectStore) -> None:
    staged = await store.stage("a", b"body")
    for unknown in (replace(staged, upload_id="other"), replace(staged, key="b")):
        assert await store.complete(unknown) is Completion.NO_UPLOAD
    assert [info async for info in store.list("")] == []
    assert await store.complete(staged) is Completion.DONE


async def test_parts_that_are_not_those_of_the_upload_become_no_object(store: ObjectStore) -> None:
    staged = await store.stage("a", b"0123456789abc")
    for other in (
        replace(staged, etags=("0" * 32, staged.etags[1])),
        replace(staged, etags=staged.etags[:1]),
        replace(staged, size=staged.size + 1),
    ):
        with pytest.raises(RequestError):
            await store.complete(other)
    assert await store.head("a") is None
    assert await store.complete(staged) is Completion.DONE


async def test_parts_are_16_mib_and_another_process_can_complete_them(bucket: Bucket) -> None:
    body = bytes(2**24) + b"end"
    staged = await S3Store(bucket.client, bucket.name).stage("a", body)
    assert len(staged.etags) == 2
    async with AwsSession("us-east-1") as aws:
        store = S3Store(await aws.client("s3"), bucket.name)
        assert await store.complete(staged) is Completion.DONE
        assert sha256(await store.get("a")) == staged.sha256


async def test_an_upload_that_the_lifecycle_rule_removed_is_told(bucket: Bucket) -> None:
    staged = await bucket.store().stage("a", b"body")
    await bucket.client.abort_multipart_upload(Bucket=bucket.name, Key="a", UploadId=staged.upload_id)
    assert await bucket.store().complete(staged) is Completion.NO_UPLOAD


async def test_a_part_that_is_damaged_on_its_way_is_refused_and_sent_again(bucket: Bucket) -> None:
    damages = damaging(bucket, b"0123456789", times=1)
    with stamina.set_testing(True, attempts=2):
        staged = await bucket.store().stage("a", b"0123456789abc")
    assert damages == [b"x123456789"]
    assert await bucket.store().complete(staged) is Completion.DONE
    assert await bucket.store().get("a") == b"0123456789abc"


async def test_a_part_that_is_damaged_every_time_is_an_outage(bucket: Bucket) -> None:
    damages = damaging(bucket, b"0123456789", times=9)
    with stamina.set_testing(True, attempts=2), pytest.raises(UnavailableError, match="BadDigest"):
        await bucket.store().stage("a", b"0123456789abc")
    assert len(damages) == 2


def damaging(bucket: Bucket, part: bytes, *, times: int) -> list[bytes]:
    """Change the first byte of `part` on its way to the bucket → what was sent instead of it, so far."""
    sent: list[bytes] = []

    def damage(request: Any, **_more: object) -> None:
        if request.body.getvalue() == part and len(sent) < times:
            sent.append(b"x" + part[1:])
            request.body = io.BytesIO(sent[-1])

    bucket.client.meta.events.register("before-send.s3.UploadPart", damage)
    return sent


async def test_staging_in_a_missing_bucket_is_told(aws_environment: str) -> None:
    async with AwsSession("us-east-1") as aws:
        store = S3Store(await aws.client("s3"), "no-such-bucket")
        with pytest.raises(NotFoundError, match="NoSuchBucket"):
            await store.stage("a", b"")
        with pytest.raises(NotFoundError, match="NoSuchBucket"):
            await store.complete(StagedObject(key="a", upload_id="u", etags=("e",), sha256="0", size=1))
