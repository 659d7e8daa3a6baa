"""Step 5: what was decided becomes visible, once, whoever does it and however often it is tried."""

from collections.abc import Iterable

from headrace.concurrency import for_each
from headrace.delivery.stage import CONCURRENT_OBJECTS
from headrace.errors import HaltedError, UnavailableError
from headrace.lake.ports import Completion, ObjectStore, StagedObject


class ObjectConflictError(HaltedError):
    """An object of this key exists and holds other bytes: somebody else writes here."""


class UploadGoneError(HaltedError):
    """Neither the object nor its upload exists: a decided batch cannot be applied."""


async def make_visible(store: ObjectStore, staged: Iterable[StagedObject]) -> None:
    """Complete every upload.

    Raises `ObjectConflictError` and `UploadGoneError`, which mean harm while the batch is ours and pending, and nothing
    to somebody who is late; `RetryableError` when it is to be tried again.
    """
    await for_each(staged, lambda each: _complete(store, each), limit=CONCURRENT_OBJECTS)


async def _complete(store: ObjectStore, staged: StagedObject) -> None:
    outcome = await store.complete(staged)
    if outcome is Completion.DONE:
        return
    found = await store.head(staged.key)
    if found is None and outcome is Completion.NO_UPLOAD:
        raise UploadGoneError(f"{staged.key} does not exist, nor does its upload {staged.upload_id}")
    if found is None:
        raise UnavailableError(f"{staged.key}: another write is under way")
    if found.sha256 != staged.sha256:
        raise ObjectConflictError(f"{staged.key} holds other bytes (sha256 {found.sha256}, not {staged.sha256})")
