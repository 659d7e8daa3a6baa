"""How a batch of records becomes objects, counts and a checkpoint, in an order that survives a crash."""
