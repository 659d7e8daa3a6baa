"""What must be in the lake, the counters and the ledgers at the end, worked out from the stream's records alone."""

import json
from collections import Counter, defaultdict
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from headrace.counters.ports import Counts, Entity, Metric, Window
from headrace.lake.layout import EVENTS, Quarantine
from headrace.leases.model import Ledger
from headrace.stream.ports import ShardId
from tests.simulation.archive import Received
from tests.simulation.rules import Rule

if TYPE_CHECKING:
    from tests.simulation.world import World

EVER = 10**6
"""Hours since 1970 UTC, far ahead."""


class Shard:
    """What a shard's records must have become. `before`: ids of the events on the shards that it came from."""

    def __init__(self, received: Received, before: AbstractSet[str] = frozenset()) -> None:
        self.rows: dict[str, Any] = {}
        """The event, by its id."""
        self.letters: list[str] = []
        """Sequence numbers of what nobody can read."""
        for number, data in received.own:
            try:
                event = json.loads(data)
            except json.JSONDecodeError:
                self.letters.append(number)
            else:
                if event["event_id"] not in before:  # else put again after a reshard: a repeat like any other
                    self.rows.setdefault(event["event_id"], event)
        self.received = len(received.own)
        self.foreign = received.foreign
        self.ids = before | self.rows.keys()

    @property
    def ledger(self) -> dict[str, int]:
        """By name, but for the number of objects, which is the workers' own choice."""
        rows, letters = len(self.rows), len(self.letters)
        repeats = self.received - rows - letters
        return {
            "received": self.received, "committed": rows, "dead_lettered": letters, "duplicates": repeats,
            "foreign": self.foreign,
        }  # fmt: skip


def verify(world: "World") -> None:
    """Compare a healed world with what was produced. Raises `ViolationError`."""
    loop, check = world._loop, world.judge.check
    archive, kept = world.archive, {shard.shard_id for shard in world.shards()}
    received = {shard_id: archive.received(shard_id) for shard_id in archive.shards}
    nowhere = world.produced - {data for each in received.values() for _, data in each.own} - archive.lost
    check(Rule.ONE_OBJECT, not nowhere, f"on no shard that they belong to: {nowhere}")
    shards: dict[ShardId, Shard] = {}
    for shard_id, each in received.items():  # parents first: a shard's id is higher than theirs
        before = frozenset[str]().union(*(shards[parent].ids for parent in archive.parents(shard_id)))
        shards[shard_id] = Shard(each, before)
    wanted = {f"{shard_id}/{event_id}" for shard_id, shard in shards.items() for event_id in shard.rows}
    wanted |= {
        f"{Quarantine.FAILED_TRANSFORMATION}:{shard_id}:{number}"
        for shard_id, shard in shards.items()
        for number in shard.letters
    }
    found = world.watch.landed.keys()
    check(Rule.ONE_OBJECT, not wanted - found, f"in no object: {sorted(wanted - found)}")
    check(Rule.ONE_OBJECT, not found - wanted, f"never produced, or a repeat: {sorted(found - wanted)}")
    _verify_counts(world, [event for shard in shards.values() for event in shard.rows.values()])
    objects = Counter(key.partition("-shardId-")[2][:12] for key in world.store.objects if key.startswith(EVENTS))
    for shard_id, expected in shards.items():
        numbers = asdict(Ledger(**expected.ledger, objects=objects[shard_id.removeprefix("shardId-")]))
        row = world.watch.last_row(shard_id)
        assert row is not None or shard_id not in kept, f"{shard_id} has never had a row"
        if row is not None:
            check(Rule.LEDGER, asdict(row.ledger) == numbers, f"{shard_id}: {row.ledger}, not {numbers}")
        hours = loop.run(world.counters.hours(f"{world.lineage}-{shard_id}", 0, EVER))
        hourly: Counter[str] = Counter()
        for hour in hours.values():
            hourly.update(hour.numbers)
        check(
            Rule.LEDGER, not expected.received or hourly == numbers, f"{shard_id} by the hour: {hourly}, not {numbers}"
        )


def _verify_counts(world: "World", events: list[dict[str, Any]]) -> None:
    """The counts of every product and page, and the top list, as the stats API reads them."""
    loop, check, now = world._loop, world.judge.check, world.clock.now()
    wanted: defaultdict[tuple[Entity, str], Counts] = defaultdict(Counts)
    for event in events:
        for entity, name in ((Entity.PRODUCT, event["product_id"]), (Entity.PAGE, event["page_url"])):
            wanted[entity, name] = wanted[entity, name].plus(_counts(event))
    for (entity, name), counts in wanted.items():
        found = loop.run(world.counters.counts(entity, name, Window.ALL, now=now))
        check(Rule.COUNTS, found == counts, f"{entity} {name}: {found}, not {counts}")
    listed = loop.run(world.counters.top(Metric.VIEWS, Window.ALL, limit=100, now=now))
    views = {name: counts.views for (entity, name), counts in wanted.items() if entity is Entity.PRODUCT}
    top = {item.entity_id: item.value for item in listed.items}
    check(
        Rule.COUNTS,
        top == {name: Decimal(count) for name, count in views.items() if count},
        f"the top list says {top}, not {views}",
    )


def _counts(event: dict[str, Any]) -> Counts:
    match event["event_type"]:
        case "page_view":
            return Counts(views=1)
        case "add_to_cart":
            return Counts(add_to_carts=1)
    price, quantity = Decimal(event["price"]), event["quantity"]
    return Counts(purchases=1, quantity=quantity, revenue={event["currency"]: price * quantity})
