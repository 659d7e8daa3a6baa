"""Lands the stream as hourly Parquet and counts it."""
