"""What no table names any more is deleted, once whoever still reads it has had time to finish."""

from dataclasses import dataclass

from headrace.clock import Clock
from headrace.lake.ports import ObjectStore, Remover
from jobs.medallion import places
from jobs.medallion.manifest import Manifest, folders
from jobs.medallion.publish import Publisher

KEPT_MANIFESTS = 1000
"""Runs whose manifests stay: far more than a job that sleeps can fall behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaner:
    """Deletes what runs have left behind. `grace`: seconds from the decision of a run, and so from what it replaced."""

    store: ObjectStore
    remover: Remover
    publisher: Publisher
    clock: Clock
    grace: float

    async def clean(self) -> int:
        """Delete what the grace time is over for, and return how many objects that were. May be repeated.

        Only runs that are applied count. Work areas of a number that is not decided stay: somebody may yet decide it.
        """
        head = await self.publisher.head()
        current: Manifest | None = None
        count = 0
        for run in range(head.cleaned + 1, head.run + 1):
            manifest = await self.publisher.find(run)
            if manifest is not None and manifest.decided_at + self.grace > self.clock.now():
                break
            if current is None:
                current = await self._shown()
            count += await self._delete(run, manifest, current)
            await self.publisher.note_cleaned(run)
        return count

    async def _shown(self) -> Manifest:
        """The run that is applied; the catalogue is made to show it, so that nobody is led to what will be deleted."""
        settled = await self.publisher.settle()
        assert settled is not None, "a run is applied"
        await self.publisher.roll(settled)
        return settled

    async def _delete(self, run: int, manifest: Manifest | None, current: Manifest) -> int:
        needed = folders(current.tables)
        old = [each for each in (manifest.superseded if manifest else ()) if each not in needed]
        keys = [info.key for prefix in (places.work_areas(run), *old) async for info in self.store.list(prefix)]
        if run > KEPT_MANIFESTS:
            keys.append(places.manifest(run - KEPT_MANIFESTS))
        await self.remover.delete(keys)
        return len(keys)
