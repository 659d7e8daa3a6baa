"""Objects, their keys, and Parquet."""
