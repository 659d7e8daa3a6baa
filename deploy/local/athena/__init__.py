"""A small Athena: the JSON API in front, Glue for the catalogue, DuckDB over the registered partitions behind.

`server` speaks HTTP, `executions` holds the life of each query, `statements` and `ddl` read Hive DDL, `glue` keeps
databases, tables and partitions, `dialect` and `functions` turn Athena's SQL into DuckDB's, `scan` reads Parquet,
`engine` runs it and `results` prints values as Athena does.
"""
