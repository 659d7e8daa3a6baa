"""Random lives of a stream: shards split, merge and are forgotten, and rows that keep up with them."""

from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from headrace.leases.model import SHARD_END, TRIM_HORIZON, Lease
from headrace.leases.topology import plan_removals, plan_rows
from headrace.stream.ports import EVERY_KEY, Shard, ShardId, StreamInfo

STREAM = StreamInfo(name="events", account="000000000000", created=1)
RETENTION = 12
"""Steps for which a closed shard is kept."""
STALE = 5
"""Steps by which a list of shards can be behind; much less than the retention, as in Kinesis."""


@dataclass
class History:
    """A stream and its rows, step by step."""

    shards: list[Shard] = field(default_factory=list)
    rows: list[Lease] = field(default_factory=list)
    listings: list[list[Shard]] = field(default_factory=list)
    """What ListShards would have said after each step."""
    _closed_at: dict[ShardId, int] = field(default_factory=dict)
    _made: int = 0

    def __post_init__(self) -> None:
        self._add((), EVERY_KEY)
        self.pass_time()

    @property
    def open_shards(self) -> list[Shard]:
        return sorted((shard for shard in self.shards if not shard.closed), key=lambda shard: shard.hash_range)

    def listing(self, behind: int = 0) -> list[Shard]:
        """The shards as they were so many steps ago."""
        return self.listings[max(0, len(self.listings) - 1 - min(behind, STALE))]

    def pass_time(self) -> None:
        now = len(self.listings)
        self.shards = [shard for shard in self.shards if now - self._closed_at.get(shard.shard_id, now) < RETENTION]
        self.listings.append(list(self.shards))

    def split(self, n: int) -> None:
        shard = self.open_shards[n % len(self.open_shards)]
        first, last = shard.hash_range
        self._close(shard)
        self._add((shard.shard_id,), (first, (first + last) // 2))
        self._add((shard.shard_id,), ((first + last) // 2 + 1, last))

    def merge(self, n: int) -> None:
        if len(self.open_shards) > 1:
            left, right = self.open_shards[n % (len(self.open_shards) - 1) :][:2]
            self._close(left)
            self._close(right)
            self._add((left.shard_id, right.shard_id), (left.hash_range[0], right.hash_range[1]))

    def update_count(self, n: int) -> None:
        """UpdateShardCount, as a row of splits or merges."""
        target = n % 6 + 1
        while len(self.open_shards) != target:
            widest = max(self.open_shards, key=lambda shard: shard.hash_range[1] - shard.hash_range[0])
            (self.split if len(self.open_shards) < target else self.merge)(self.open_shards.index(widest))

    def sync(self, behind: int) -> None:
        shards = self.listing(behind)
        self.rows += plan_rows(STREAM, shards, self.rows, TRIM_HORIZON)

    def end(self, n: int) -> None:
        """The owner of a closed shard comes to its end: the children's rows first."""
        closed = {shard.shard_id for shard in self.shards if shard.closed}
        unfinished = {row.shard_id for row in self.rows if not row.ended}
        ready = [
            at
            for at, row in enumerate(self.rows)
            if row.shard_id in closed & unfinished and unfinished.isdisjoint(row.parents)
        ]
        if ready:
            self.sync(0)
            at = ready[n % len(ready)]
            self.rows[at] = replace(self.rows[at], checkpoint=SHARD_END)

    def clean(self, behind: int) -> list[Lease]:
        removed = plan_removals(self.listing(behind), self.rows, apart=0.0)
        self.rows = [row for row in self.rows if row not in removed]
        return removed

    def play(self, steps: list[tuple[str, int]]) -> None:
        for name, n in steps:
            if name != "pass_time":
                getattr(self, name)(n)
            self.pass_time()

    def _add(self, parents: tuple[ShardId, ...], hash_range: tuple[int, int]) -> None:
        shard_id = ShardId(f"shardId-{self._made:012}")
        self._made += 1
        self.shards.append(Shard(shard_id=shard_id, parents=parents, hash_range=hash_range))

    def _close(self, shard: Shard) -> None:
        self.shards[self.shards.index(shard)] = replace(shard, closed=True)
        self._closed_at[shard.shard_id] = len(self.listings)


steps = st.lists(
    st.tuples(
        st.sampled_from(["split", "merge", "update_count", "sync", "end", "end", "clean", "pass_time", "pass_time"]),
        st.integers(0, 30),
    ),
    max_size=40,
)
