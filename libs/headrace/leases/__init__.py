"""Who works on which shard, and up to where it is done."""
