"""What the store in memory offers beyond its port, to tests that look behind it."""

import pytest

from headrace.lake.memory import MemoryStore, OpenUpload
from headrace.lake.ports import Completion


async def test_open_uploads_and_visible_objects_can_be_seen_and_not_changed() -> None:
    store = MemoryStore(part_bytes=2)
    staged = await store.stage("a", b"abc")
    assert dict(store.uploads) == {
        staged.upload_id: OpenUpload(key="a", upload_id=staged.upload_id, parts=(b"ab", b"c"))
    }
    assert dict(store.objects) == {}
    await store.complete(staged)
    assert (dict(store.uploads), dict(store.objects)) == ({}, {"a": b"abc"})
    with pytest.raises(TypeError):
        store.objects["b"] = b""  # type: ignore[index]


async def test_the_same_calls_make_the_same_upload_ids() -> None:
    async def ids(store: MemoryStore) -> list[str]:
        return [(await store.stage("a", b"")).upload_id for _ in range(3)]

    assert await ids(MemoryStore()) == await ids(MemoryStore())


async def test_uploads_expire() -> None:
    store = MemoryStore()
    staged = await store.stage("a", b"abc")
    store.expire_uploads()
    assert await store.complete(staged) is Completion.NO_UPLOAD
    assert dict(store.objects) == {}


@pytest.mark.parametrize(("remembers", "means"), [(False, Completion.NO_UPLOAD), (True, Completion.DONE)])
async def test_a_completed_upload_is_forgotten_or_answered_again(remembers: bool, means: Completion) -> None:
    store = MemoryStore(remembers_uploads=remembers)
    staged = await store.stage("a", b"abc")
    await store.complete(staged)
    assert await store.complete(staged) is means
    assert dict(store.objects) == {"a": b"abc"}


async def test_a_refused_upload_stays_open_for_the_lifecycle_rule() -> None:
    store = MemoryStore()
    staged = await store.stage("a", b"abc")
    await store.put("a", b"there")
    assert await store.complete(staged) is Completion.KEY_TAKEN
    assert staged.upload_id in store.uploads
