"""The medallion's steps on DuckDB, in this process."""
