"""Databases, tables and partitions, as SQL engines see the lake."""
