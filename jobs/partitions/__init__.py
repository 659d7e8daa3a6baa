"""Compares the bucket with the table's partitions, and repairs what differs."""
