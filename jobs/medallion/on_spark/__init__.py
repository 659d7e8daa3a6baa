"""The medallion's steps on Spark. `place`, `reading`, `decoding` and `writing` are what executors run in Python."""
