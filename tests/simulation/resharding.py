"""What the stream's owner does to its shards."""

import itertools

from headrace.stream.ports import HASH_KEYS, Shard
from tests.simulation.world import World


def split(world: World, choice: int) -> None:
    """Split one of the open shards."""
    shards = world.open_shards()
    parent = shards[choice % len(shards)].shard_id
    world.say(f"{parent} is split")
    world.stream.split(parent)
    world.archive.update()


def merge(world: World, choice: int) -> None:
    """Merge two neighbours, if there are any."""
    pairs = list(itertools.pairwise(world.open_shards()))
    for left, right in pairs[choice % max(1, len(pairs)) :][:1]:
        _merge(world, left, right)


def resize(world: World, count: int, *, between: float = 0.0) -> None:
    """UpdateShardCount: splits at the bounds of `count` equal shards, then merges of all that lies within each.

    So many seconds lie between the two; children that were just made are merged again.
    """
    world.say(f"the stream shall have {count} shards")
    bounds = [HASH_KEYS * n // count for n in range(count + 1)]
    for bound in bounds[1:-1]:
        shard = next(shard for shard in world.open_shards() if shard.hash_range[1] >= bound)
        if shard.hash_range[0] != bound:
            world.stream.split(shard.shard_id, at=bound)
    world.archive.update()
    if between:
        world.advance(between)
    for first, end in itertools.pairwise(bounds):
        while len(inside := [shard for shard in world.open_shards() if first <= shard.hash_range[0] < end]) > 1:
            _merge(world, *inside[:2])


def _merge(world: World, left: Shard, right: Shard) -> None:
    world.say(f"{left.shard_id} and {right.shard_id} are merged")
    world.stream.merge(left.shard_id, right.shard_id)
    world.archive.update()
