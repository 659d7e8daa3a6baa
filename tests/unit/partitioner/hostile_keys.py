"""Object keys that someone else may put into the bucket."""

from urllib.parse import quote_plus

HOUR = "month=04/day=09/hour=00/a.parquet"
HOSTILE = {
    "parent folder": "events/year=2026/month=04/day=09/hour=00/../../a.parquet",
    "parent folder as a value": f"events/year=../{HOUR}",
    "encoded slash": f"events/year=..%2F/{HOUR}",
    "encoded slash in the folder": "events/year=2026%2Fmonth=04/day=09/hour=00/a.parquet",
    "NUL": f"events/year=2026\x00/{HOUR}",
    "NUL in the name of a key": f"events/ye\x00ar=2026/{HOUR}",
    "equals sign": f"events/year==2026/{HOUR}",
    "second equals sign": f"events/year=2026=2027/{HOUR}",
    "SQL": f"events/year=2026') LOCATION 's3://evil/{HOUR}",
    "backtick": f"events/`year`=2026/{HOUR}",
    "newline": f"events/year=2026\n/{HOUR}",
    "wrong casing of a key": f"events/Year=2026/{HOUR}",
    "unicode digits": f"events/year=٢٠٢٦/{HOUR}",
    "full-width digits": f"events/year=２０２６/{HOUR}",
    "superscript digit": "events/year=2026/month=04/day=0²/hour=00/a.parquet",
    "double encoding": quote_plus(f"events/year=2026/{HOUR}", safe="/"),
    "double encoding of digits": f"events/year=%32026/{HOUR}",
    "sign": f"events/year=+026/{HOUR}",
    "space": f"events/year= 2026/{HOUR}",
    "not padded": "events/year=2026/month=4/day=9/hour=0/a.parquet",
    "five digits": f"events/year=20260/{HOUR}",
    "hour of no day": "events/year=2026/month=04/day=09/hour=24/a.parquet",
    "month of no year": "events/year=2026/month=13/day=09/hour=00/a.parquet",
    "day of no month": "events/year=2026/month=02/day=30/hour=00/a.parquet",
    "year nought": f"events/year=0000/{HOUR}",
    "keys in another order": "events/month=04/year=2026/day=09/hour=00/a.parquet",
    "deeper folder": "events/year=2026/month=04/day=09/hour=00/minute=00/a.parquet",
    "no folder": "events/part-0.parquet",
    "Hive's default partition": f"events/year=__HIVE_DEFAULT_PARTITION__/{HOUR}",
    "lone surrogate": f"events/year=\ud800/{HOUR}",
}
"""Keys below `events/` that are no hour of ours, by what is wrong with them."""
