"""Step 3: the bytes of a batch are in the store, and nobody sees them."""

from collections.abc import Sequence

from headrace.concurrency import for_each
from headrace.delivery.plan import PlannedObject
from headrace.lake.ports import ObjectStore, StagedObject

CONCURRENT_OBJECTS = 8


async def stage(store: ObjectStore, objects: Sequence[PlannedObject]) -> dict[str, StagedObject]:
    """Upload every object; the result is by key. Uploads of an attempt that failed are left to the bucket's rule."""
    staged: dict[str, StagedObject] = {}

    async def one(planned: PlannedObject) -> None:
        staged[planned.key] = await store.stage(planned.key, planned.body)

    await for_each(objects, one, limit=CONCURRENT_OBJECTS)
    return staged
