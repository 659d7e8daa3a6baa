"""The named queries of gold and silver, as the local Athena answers them."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest

from deploy.local.emulator import CREDENTIALS
from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaClient
from headrace.catalog.glue import GlueTables
from headrace.catalog.results import Row
from headrace.clock import SystemClock
from headrace.events.arrow import EVENT_SCHEMA
from headrace.lake.parquet import encode
from headrace.lake.s3 import S3Store
from headrace.sql import loader
from jobs.medallion import places
from jobs.medallion.model import GoldTable, SilverDay, SilverFile, Tables
from jobs.medallion.register import Lakehouse, register
from jobs.medallion.tables import GOLD
from tests.unit.jobs.medallion.gold_oracle import MIDNIGHT, by_day, gold

LAST = {"country": "DE", "page_url": "/p1", "ip": "192.0.2.0", "browser": "Firefox", "device_type": "desktop"}


def event(kind: str, user: str | None, product: str, hour: int, **more: Any) -> dict[str, Any]:
    """An event of the first day; of the next from hour 24 on."""
    return {
        **dict.fromkeys(EVENT_SCHEMA.names), "event_id": f"{kind}-{user}-{hour}", "event_type": kind, "user_id": user,
        "session_id": user and f"s-{user}", "product_id": product, "category": "toys" if product == "p1" else None,
        "event_time": MIDNIGHT + timedelta(hours=hour), **more,
    }  # fmt: skip


SILVER = [
    event("page_view", "u1", "p1", 8), event("page_view", "u2", "p1", 8), event("page_view", "u1", "p1", 9),
    event("add_to_cart", "u1", "p1", 9), event("purchase", "u1", "p1", 9, revenue=Decimal("10.0050"), quantity=2),
    event("purchase", "u2", "p2", 10, revenue=Decimal(99), quantity=1), event("purchase", "u2", "p2", 10, quantity=1),
    event("page_view", None, "p2", 25, **LAST),
]  # fmt: skip

ANSWERS: list[tuple[str, Mapping[str, str], list[Row]]] = [
    ("product_funnel", {}, [
        ("p1", "toys", 3, 1, 1, 33.33, 100.0, 33.33), ("p2", None, 1, 0, 2, 0.0, None, 200.0),
    ]),
    ("product_funnel", {"category": "to%"}, [("p1", "toys", 3, 1, 1, 33.33, 100.0, 33.33)]),
    ("hourly_revenue", {}, [
        ("2026-04-09", 10, Decimal("99.0000"), 2, 99.0, 2), ("2026-04-09", 9, Decimal("10.0100"), 1, 10.01, 2),
    ]),
    ("hourly_revenue", {"limit": "1"}, [("2026-04-09", 10, Decimal("99.0000"), 2, 99.0, 2)]),
    ("hourly_revenue", {"from": "2026-04-10"}, []),
    ("product_popularity", {}, [("p1", "toys", 3, 2, 1.5), ("p2", None, 1, 0, None)]),
    ("category_daily_performance", {}, [
        ("2026-04-10", None, 1, 1, 0, 0, None, 0.0),
        ("2026-04-09", None, 2, 0, 0, 2, Decimal("99.0000"), None),
        ("2026-04-09", "toys", 5, 3, 1, 1, Decimal("10.0100"), 33.33),
    ]),
    ("category_daily_performance", {"to": "2026-04-09", "category": "t_ys"}, [
        ("2026-04-09", "toys", 5, 3, 1, 1, Decimal("10.0100"), 33.33),
    ]),
    ("daily_user_activity", {}, [("2026-04-10", 0, 0, 1, None, None, None), ("2026-04-09", 2, 2, 7, 3.5, 1.0, 3.5)]),
    ("daily_user_activity", {"to": "2026-04-09"}, [("2026-04-09", 2, 2, 7, 3.5, 1.0, 3.5)]),
    ("clickstream", {"from": "2026-04-10"}, [
        (None, None, "2026-04-10 01:00:00.000", "page_view", "/p1", None, "desktop", "Firefox", "192.0.2.0", "DE", None,
         "2026-04-10"),
    ]),
]  # fmt: skip


@pytest.fixture(scope="module")
def shop(ministack_url: str, athena_url: str) -> Mapping[str, str]:
    """A published run of those events; what the environment must say to ask it."""
    environment = {
        **CREDENTIALS,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": ministack_url,
        "AWS_ENDPOINT_URL_ATHENA": athena_url,
        "S3_BUCKET": f"gold-{uuid4().hex[:12]}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        asyncio.run(publish(environment["S3_BUCKET"]))
    return environment


async def publish(bucket: str) -> None:
    async with AwsSession("us-east-1") as aws:
        s3 = await aws.client("s3")
        await s3.create_bucket(Bucket=bucket)
        store = S3Store(s3, bucket)
        days = by_day(SILVER)
        for day, rows in days.items():
            table = pa.Table.from_pylist(list(rows), schema=EVENT_SCHEMA)
            await store.put(places.silver_file(str(day), 1, 0), encode(table))
        for table in GOLD:
            rows = pa.Table.from_pylist(gold(table.name, SILVER), schema=table.arrow)
            await store.put(places.gold_file(table.name, 1), encode(rows))
        file = SilverFile(key="", size=1, rows=1, first=0, last=0)
        names = [str(day) for day in days]
        tables = Tables(
            days=tuple(SilverDay(day=name, files=(file,)) for name in names),
            gold=tuple(GoldTable(name=table.name, key="", size=1, rows=1) for table in GOLD),
            runs=dict.fromkeys([*names, *(table.name for table in GOLD)], 1),
        )
        database = bucket.replace("-", "_")
        catalog = GlueTables(await aws.client("glue"), await athena(aws, bucket), database)
        await register(catalog, Lakehouse(bucket=bucket, database=database, events="events"), tables, mark=None)


async def athena(aws: AwsSession, bucket: str) -> AthenaClient:
    return AthenaClient(
        await aws.client("athena"), clock=SystemClock(), workgroup="headrace", output=f"s3://{bucket}/out/",
        database=bucket.replace("-", "_"),
    )  # fmt: skip


@pytest.mark.parametrize(("name", "values", "rows"), ANSWERS)
def test_a_question_is_answered(
    athena_environment: str, shop: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, name: str,
    values: Mapping[str, str], rows: list[Row],
) -> None:  # fmt: skip
    for variable, value in shop.items():
        monkeypatch.setenv(variable, value)

    async def ask() -> list[Row]:
        async with AwsSession("us-east-1") as aws:
            client = await athena(aws, shop["S3_BUCKET"])
            return list((await client.query(loader.load(name).render(values))).rows)

    assert asyncio.run(ask()) == rows
