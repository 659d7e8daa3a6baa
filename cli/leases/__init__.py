"""`headrace leases`: who works on which shard and how far it is, and what a person may do about it."""
