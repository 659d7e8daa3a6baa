"""Runs one after another while the sources change in every way: silver has what was read last of each file, once."""

import asyncio
from datetime import date

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jobs.medallion import pages
from jobs.medallion.bookmarks import Bookmarks
from jobs.medallion.listing import Scope, list_source
from jobs.medallion.model import Source
from jobs.medallion.plan import RefusedRunError, Request, is_empty
from tests.unit.jobs.medallion.bronze import UNREADABLE, Bronze, body_of, days_in, landed, raw

KEYS = [raw(8, "a"), raw(9, "a"), raw(9, "b"), raw(9, "a", month=5), landed(9, "a"), "raw/events/a.jsonl.gz"]

days = st.sampled_from([["2026-04-08"], ["2026-04-09"], ["2026-04-08", "2026-04-09"]])
rows = st.builds(lambda days, version: body_of(*days, version=version), days, st.integers(0, 1))
bodies = rows | st.sampled_from([body_of(), UNREADABLE, b""])
bounds = st.none() | st.sampled_from([date(2026, 4, 8), date(2026, 4, 9)])
sources = st.sampled_from([(Source.RAW,), (Source.EVENTS,), tuple(Source)])
some = st.builds(Request, sources=sources, scope=st.builds(Scope, first=bounds, last=bounds))
full = st.builds(
    lambda sources, forget: Request(sources=sources, full=True, forget_vanished=forget), sources, st.booleans()
)


class Sources(RuleBasedStateMachine):
    """Files come, change and go; runs read them."""

    @initialize(files=st.fixed_dictionaries(dict.fromkeys(KEYS, rows)))
    def begin(self, files: dict[str, bytes]) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(pages, "PAGE_FILES", 2)
        self.bronze = Bronze()
        self.read: dict[str, bytes] = {}
        self.put(files)

    def teardown(self) -> None:
        self.patch.undo()

    @rule(files=st.dictionaries(st.sampled_from(KEYS), bodies, min_size=1))
    def put(self, files: dict[str, bytes]) -> None:
        for key, body in files.items():
            asyncio.run(self.bronze.store.put(key, body))

    @precondition(lambda self: self.bronze.store.objects)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        asyncio.run(self.bronze.store.delete([data.draw(st.sampled_from(sorted(self.bronze.store.objects)))]))

    @rule(request=some)
    def run_over_what_is_new(self, request: Request) -> None:
        self.run(request)

    @rule(request=full)
    def run_over_everything(self, request: Request) -> None:
        self.run(request)

    @rule()
    def run_over_both_sources(self) -> None:
        self.run(Request(sources=tuple(Source)))

    def run(self, request: Request) -> None:
        before = set(self.bronze.silver)
        try:
            plan = asyncio.run(self.bronze.run(request))
        except RefusedRunError:
            assert self.bronze.silver == before
            assert not request.forget_vanished
            assert self.vanished() or not request.scope.is_everything
            return
        present = {key: body for key, body in self.bronze.store.objects.items() if body}
        if request.full:
            assert request.forget_vanished or not self.vanished()
            self.read = {}
        asked = {key for source in plan.sources for key in asyncio.run(self.listed(source, request.scope))}
        self.read |= {key: present[key] for key in asked}
        self.read |= {each.file.key: present[each.file.key] for each in plan.read if each.only_days is None}
        if not request.full:
            assert is_empty(asyncio.run(self.bronze.plan(request)))

    async def listed(self, source: Source, scope: Scope) -> list[str]:
        return [file.key for file in (await list_source(self.bronze.store, source, scope)).files]

    def vanished(self) -> bool:
        present = {key for key, body in self.bronze.store.objects.items() if body}
        return not set(self.read) <= present

    @invariant()
    def silver_has_what_was_read_last_of_each_file(self) -> None:
        assert self.bronze.silver == {(day, key, body) for key, body in self.read.items() for day in days_in(body)}

    @invariant()
    def the_bookmarks_are_those_of_the_files_that_were_read(self) -> None:
        known = asyncio.run(Bookmarks(self.bronze.state).all())
        assert {key: mark.days for key, mark in known.items()} == {k: days_in(body) for k, body in self.read.items()}


TestSources = Sources.TestCase
TestSources.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
