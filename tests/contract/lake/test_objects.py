"""What every object store promises of its objects, on memory and on S3."""

import base64
import hashlib
from dataclasses import replace

import pytest

from headrace.aws.session import AwsSession
from headrace.errors import NotFoundError
from headrace.lake.ports import Completion, ObjectStore, TailReader
from headrace.lake.s3 import S3Store
from tests.contract.lake.world import Bucket, sha256


async def test_an_object_comes_back_byte_for_byte(store: ObjectStore) -> None:
    body = bytes(range(256)) * 5
    await store.put("events/a.parquet", body)
    assert await store.get("events/a.parquet") == body


@pytest.mark.parametrize("count", [1, 8, 99, 100, 101, 1 << 16])
async def test_a_tail_is_the_last_bytes_and_what_head_knows(store: ObjectStore, count: int) -> None:
    assert isinstance(store, TailReader)
    body = bytes(range(100))
    for key in ("events/put", "events/staged"):
        if key == "events/put":
            await store.put(key, body)
        else:
            assert await store.complete(await store.stage(key, body)) is Completion.DONE
        tail = await store.tail(key, count)
        assert tail is not None
        assert tail.body == body[-count:]
        assert tail.info == await store.head(key)
        assert (tail.info.size, tail.info.sha256) == (100, hashlib.sha256(body).hexdigest())


async def test_an_empty_object_has_an_empty_tail_and_a_missing_one_has_none(store: ObjectStore) -> None:
    assert isinstance(store, TailReader)
    await store.put("empty", b"")
    tail = await store.tail("empty", 8)
    assert tail is not None
    assert (tail.body, tail.info.size) == (b"", 0)
    assert await store.tail("nothing", 8) is None


async def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    await store.put("empty", b"")
    assert await store.get("empty") == b""
    info = await store.head("empty")
    assert info is not None
    assert info.size == 0


async def test_a_second_put_replaces_the_first(store: ObjectStore) -> None:
    await store.put("a", b"one", metadata={"sha256": "1"})
    await store.put("a", b"three", metadata={"sha256": "3"})
    assert await store.get("a") == b"three"


async def test_getting_what_is_not_there_is_an_error_and_heading_it_is_not(store: ObjectStore) -> None:
    with pytest.raises(NotFoundError):
        await store.get("nothing")
    assert await store.head("nothing") is None


async def test_head_and_list_agree_on_size_and_etag(store: ObjectStore) -> None:
    await store.put("a", b"12345")
    head = await store.head("a")
    assert head is not None
    assert head.size == 5
    assert [info async for info in store.list("")] == [replace(head, sha256=None)]


async def test_the_etag_changes_with_the_content_and_only_with_it(store: ObjectStore) -> None:
    for key, body in (("a", b"same"), ("b", b"same"), ("c", b"other")):
        await store.put(key, body)
    a, b, c = [info.etag async for info in store.list("")]
    assert a == b != c


async def test_listing_goes_through_all_pages_in_order_of_key(store: ObjectStore) -> None:
    for key in ("x/3", "x/1", "y/0", "x/é", "x/10", "x/2"):
        await store.put(key, b"")
    assert [info.key async for info in store.list("x/")] == ["x/1", "x/10", "x/2", "x/3", "x/é"]
    assert [info.key async for info in store.list("z/")] == []


async def test_prefixes_are_the_folders_directly_below(store: ObjectStore) -> None:
    for key in ("e/year=2026/month=04/a", "e/year=2026/month=05/b", "e/year=2025/c", "e/year=2024/d", "e/file", "f/g"):
        await store.put(key, b"")
    assert [folder async for folder in store.prefixes("e/")] == ["e/year=2024/", "e/year=2025/", "e/year=2026/"]
    assert [folder async for folder in store.prefixes("e/year=2026/")] == [
        "e/year=2026/month=04/",
        "e/year=2026/month=05/",
    ]
    assert [folder async for folder in store.prefixes("")] == ["e/", "f/"]


@pytest.mark.parametrize("key", ["a b+c&d=é.parquet", "x/%2F..%2F", "quo'te\"s", "x/a=1/b=%00"])
async def test_awkward_keys_keep_their_spelling(store: ObjectStore, key: str) -> None:
    await store.put(key, key.encode())
    assert await store.get(key) == key.encode()
    assert [info.key async for info in store.list("")] == [key]


async def test_listing_starts_behind_a_key_whether_it_exists_or_not(store: ObjectStore) -> None:
    for key in ("x/1", "x/2", "x/3", "x/4", "y/5"):
        await store.put(key, b"")
    assert [info.key async for info in store.list("x/", after="x/1")] == ["x/2", "x/3", "x/4"]
    assert [info.key async for info in store.list("x/", after="x/10")] == ["x/2", "x/3", "x/4"]
    assert [info.key async for info in store.list("x/", after="w")] == ["x/1", "x/2", "x/3", "x/4"]
    assert [info.key async for info in store.list("x/", after="x/4")] == []


async def test_the_digest_of_what_was_put_is_known(store: ObjectStore) -> None:
    await store.put("a", b"body", metadata={"made-by": "a test"})
    head = await store.head("a")
    assert head is not None
    assert head.sha256 == sha256(b"body")


async def test_s3_keeps_metadata_and_checksum_beside_the_object(bucket: Bucket) -> None:
    await bucket.store().put("a", b"body", metadata={"made-by": "a test"})
    head = await bucket.client.head_object(Bucket=bucket.name, Key="a", ChecksumMode="ENABLED")
    assert head["Metadata"] == {"made-by": "a test", "sha256": sha256(b"body")}
    assert head["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(b"body").digest()).decode()


async def test_a_missing_bucket_is_told(aws_environment: str) -> None:
    async with AwsSession("us-east-1") as aws:
        store = S3Store(await aws.client("s3"), "no-such-bucket")
        with pytest.raises(NotFoundError, match="NoSuchBucket"):
            await store.put("a", b"")
