"""Puts dead letters right and lands them: each quarantine object is a shard of its own, delivered exactly once."""
