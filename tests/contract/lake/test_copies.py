"""What every object store promises of copies and deletions, on memory and on S3."""

import pytest

from headrace.errors import NotFoundError
from headrace.lake.ports import Completion, ObjectStore
from tests.contract.lake.world import PART, Bucket, Lake, sha256

AWKWARD = ["a b+c&d=é.parquet", "x/%2F..%2F", "quo'te\"s", "x/a=1/b=%00", "<key>&amp;"]


async def keys_in(store: ObjectStore) -> list[str]:
    return [info.key async for info in store.list("")]


async def test_a_copy_has_the_bytes_and_the_digest_of_its_source_which_stays(store: ObjectStore) -> None:
    body = bytes(range(3 * PART + 1))
    await store.put("put", body)
    assert await store.complete(await store.stage("staged", body)) is Completion.DONE
    for source in ("put", "staged"):
        await store.copy(source, f"copies/{source}")
        assert await store.get(f"copies/{source}") == await store.get(source) == body
        head = await store.head(f"copies/{source}")
        assert head is not None
        assert (head.size, head.sha256) == (len(body), sha256(body))
    assert await keys_in(store) == ["copies/put", "copies/staged", "put", "staged"]


async def test_a_copy_replaces_what_has_its_key_and_can_be_repeated(store: ObjectStore) -> None:
    await store.put("a", b"one")
    await store.put("b", b"other")
    for _ in range(2):
        await store.copy("a", "b")
        assert await store.get("b") == b"one"
    await store.put("a", b"two")
    assert await store.get("b") == b"one"


async def test_copying_what_is_not_there_is_told_and_leaves_the_target_as_it_is(store: ObjectStore) -> None:
    await store.put("b", b"other")
    with pytest.raises(NotFoundError):
        await store.copy("a", "b")
    assert await store.get("b") == b"other"


@pytest.mark.parametrize("key", AWKWARD)
async def test_awkward_keys_are_copied_and_deleted_as_they_are_spelt(lake: Lake, key: str) -> None:
    await lake.store.put(key, b"body")
    await lake.store.put("b", b"")
    await lake.store.copy(key, f"copy of {key}")
    assert await lake.store.get(f"copy of {key}") == b"body"
    await lake.remover.delete([key])
    assert await keys_in(lake.store) == sorted(["b", f"copy of {key}"])


async def test_what_is_deleted_is_gone_and_the_rest_stays(lake: Lake) -> None:
    for n in range(7):
        await lake.store.put(f"x/{n}", b"")
    await lake.remover.delete(f"x/{n}" for n in range(0, 7, 2))
    assert await keys_in(lake.store) == ["x/1", "x/3", "x/5"]
    with pytest.raises(NotFoundError):
        await lake.store.get("x/0")
    assert await lake.store.head("x/0") is None


async def test_deleting_what_is_not_there_is_no_error(lake: Lake) -> None:
    await lake.store.put("a", b"")
    await lake.remover.delete([])
    for _ in range(2):
        await lake.remover.delete(["a", "never was"])
        assert await keys_in(lake.store) == []


async def test_a_copy_on_s3_keeps_all_metadata(bucket: Bucket) -> None:
    await bucket.store().put("a", b"body", metadata={"made-by": "a test"})
    await bucket.store().copy("a", "b")
    head = await bucket.client.head_object(Bucket=bucket.name, Key="b")
    assert head["Metadata"] == {"made-by": "a test", "sha256": sha256(b"body")}


async def test_a_missing_bucket_is_told_to_whoever_deletes(bucket: Bucket) -> None:
    with pytest.raises(NotFoundError, match="NoSuchBucket"):
        await bucket._replace(name="no-such-bucket").remover().delete(["a"])
