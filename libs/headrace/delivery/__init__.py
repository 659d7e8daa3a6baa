"""How a batch of records becomes objects, counts and a checkpoint, in an order that survives a crash.

`batch` gathers records, `plan` decides what a batch becomes, `deliver` does it, `shard` repeats that for one shard and
`fleet` for all shards that this worker holds.
"""
