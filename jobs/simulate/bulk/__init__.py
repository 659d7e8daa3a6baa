"""The simulator's shoppers in bulk: made as columns, written as gzipped JSON lines into `raw/events/`."""
