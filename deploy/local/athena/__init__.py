"""A small Athena: the JSON API in front, Glue for the catalogue, DuckDB over the registered partitions behind.

`server` speaks HTTP, `api` and `data_catalog` answer its operations, `executions` holds the life of each query and
`runner` carries it out. `ddl` reads statements; `catalog_statements` and `shows` answer from `glue`. `dialect` and
`functions` turn Athena's SQL into DuckDB's, `engine` runs it on what `scan` and `text_scan` read, `results` prints
values as Athena does, and `writes` puts rows into files through `sink`.
"""
