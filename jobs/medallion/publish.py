"""From a manifest to tables that show it: decide, copy, register. The order of the durable steps is written here only.

Before the decision nothing is in a table's folder and nothing in the catalogue; after it any process may finish what is
left, in full and however often. A process that comes late finds that the numbers went on, and undoes nothing.
"""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from headrace.aws.retry import retry
from headrace.catalog.tables import TableCatalog
from headrace.concurrency import for_each
from headrace.errors import ConflictError, HaltedError, NotFoundError, UnavailableError
from headrace.lake.ports import Completion, ObjectStore
from headrace.state.ports import StateStore
from jobs.medallion import places
from jobs.medallion.bookmarks import write_documents
from jobs.medallion.manifest import Copy, Manifest, decode, encode
from jobs.medallion.register import Lakehouse, register

HEAD = "medallion:head"
AT_ONCE = 8
"""Copies on their way at the same time."""

OnCopy = Callable[[int], object]
"""Told how many objects more are in their place."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The document that says how far runs are applied."""

    run: int = 0
    """The last run of which everything is in its place; 0 for none."""
    cleaned: int = 0
    """Of this run and all before it, what nobody needs any more is deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Brings runs to where queries see them."""

    store: ObjectStore
    state: StateStore
    catalog: Callable[[], Awaitable[TableCatalog]]
    """Opens it, when it is needed: most runs that find nothing to do never ask."""
    house: Lakehouse

    async def head(self) -> Head:
        """How far runs are applied."""
        document = await self.state.get(HEAD)
        return Head() if document is None else msgspec.convert(document.value, Head)

    async def find(self, run: int) -> Manifest | None:
        """The manifest of a run, if it is decided. Raises `HaltedError` when it cannot be read."""
        key = places.manifest(run)
        try:
            return decode(key, await self.store.get(key))
        except NotFoundError:
            return None

    async def newest(self, since: int) -> Manifest | None:
        """The last run that is decided, if that is `since` or a later one."""
        found = None
        while (manifest := await self.find(since)) is not None:
            found, since = manifest, since + 1
        return found

    async def settle(self) -> Manifest | None:
        """Finish what was decided and is not applied. Returns the run that is applied now; None before the first.

        Raises `HaltedError` when what has been decided cannot be applied.
        """
        head = await self.head()
        manifest = await self.newest(head.run or await self._last_manifest())
        if manifest is None and head.run:
            raise HaltedError(f"run {head.run} is applied, but its manifest {places.manifest(head.run)} is gone")
        if manifest is None or manifest.run == head.run:
            return manifest
        await self.show(manifest)
        return await self.register(manifest)

    async def decide(self, manifest: Manifest) -> Manifest:
        """The decision: whoever creates the manifest of a number decides that run.

        Returns the manifest that counts: this one, that of an earlier try, or another job's. Raises `RetryableError`
        when nobody answered: then nobody knows.
        """
        key = places.manifest(manifest.run)

        async def once() -> Manifest:
            staged = await self.store.stage(key, encode(manifest))
            outcome = await self.store.complete(staged)
            if outcome is Completion.DONE:
                return manifest
            if (found := await self.find(manifest.run)) is not None:
                return found
            raise UnavailableError(f"{key} was not written: {outcome}")

        return await retry(once)

    async def show(self, manifest: Manifest, on_copy: OnCopy = lambda _: None) -> None:
        """What was decided is copied to its place. Raises `HaltedError` when an object is gone."""

        async def one(copy: Copy) -> None:
            await self._copy(copy)
            on_copy(1)

        # 1. Objects are where the tables will look for them; no table looks there yet.
        await for_each(manifest.copies, one, limit=AT_ONCE)

    async def register(self, manifest: Manifest) -> Manifest:
        """Tables, view and bookmarks follow. Returns the run that they show: this one, or a later one."""
        late: ConflictError | None = None
        try:
            # 2. Each partition and each table moves to its new folder; 3. then the mark of the view moves.
            await register(await self.catalog(), self.house, manifest.tables, mark=manifest.mark, raw=manifest.raw)
        except ConflictError as error:
            late = error
        if (newer := await self.newest(manifest.run + 1)) is not None:
            # We may have moved back what others had moved on: make good what is decided by now.
            await self.show(newer)
            return await self.register(newer)
        if late is not None:
            raise late
        # 4. What was read counts as read.
        await write_documents(self.state, manifest.bookmarks)
        # 5. The run is applied; the next one builds on it.
        await self._change_head(lambda head: replace(head, run=max(head.run, manifest.run)))
        return manifest

    async def roll(self, manifest: Manifest) -> None:
        """Have the catalogue show a run that is applied, whatever it shows now."""
        await register(await self.catalog(), self.house, manifest.tables, mark=manifest.mark)

    async def note_cleaned(self, run: int) -> None:
        """Of this run and all before it nothing is left to delete."""
        await self._change_head(lambda head: replace(head, cleaned=max(head.cleaned, run)))

    async def _last_manifest(self) -> int:
        """Number of the last decided run by a look at all keys, for when no document tells; 1 when there is none."""
        keys = [info.key async for info in self.store.list(f"{places.RUNS}/")]
        return max((run for key in keys if (run := places.run_of_manifest(key)) is not None), default=1)

    async def _copy(self, copy: Copy) -> None:
        try:
            await self.store.copy(copy.source, copy.target)
        except NotFoundError as error:  # cleaned away since another process did this
            if await self.store.head(copy.target) is None:
                raise HaltedError(f"neither {copy.source} nor its copy {copy.target} is there") from error

    async def _change_head(self, change: Callable[[Head], Head]) -> None:
        while True:
            document = await self.state.get(HEAD)
            now = Head() if document is None else msgspec.convert(document.value, Head)
            if (changed := change(now)) == now:
                return
            with contextlib.suppress(ConflictError):  # somebody else moves it on, too
                await self.state.put(HEAD, msgspec.to_builtins(changed), expected=document.version if document else 0)
                return
