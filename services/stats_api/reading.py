"""The reading half of the API: counts of products and pages, and the top lists."""

from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Response, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from msgspec.structs import asdict
from pydantic import BaseModel, Field, WithJsonSchema

from headrace.clock import Clock
from headrace.counters.layout import page_path
from headrace.counters.ports import CounterReader, Entity, Metric, Window
from services.stats_api.deadlines import within
from services.stats_api.freshness import Freshness
from services.stats_api.problems import documented

PREFIXES = ("/v1/products/", "/v1/pages/")
"""What is cached, and what wants an API key."""

READ_SECONDS = 5.0
MAX_LIMIT = 500

_encoder = msgspec.json.Encoder(decimal_format="number")

Amount = Annotated[Decimal, WithJsonSchema({"type": "number"})]
WindowParameter = Annotated[
    Window,
    Query(description="1h rolls by minute, 24h by hour; 7d and 30d are calendar days in UTC, today included"),
]
_COMPLETE_THROUGH = Field(
    description="What arrived before it is counted (ISO 8601, UTC); null before anything was read",
    examples=["2026-04-09T08:00:00.000Z"],
)


class Stats(BaseModel):
    """Counts of one entity over a window."""

    window: Window
    views: int = Field(examples=[1204])
    add_to_carts: int = Field(examples=[96])
    purchases: int = Field(examples=[31])
    quantity: int = Field(description="Pieces purchased", examples=[40])
    revenue: dict[str, Amount] = Field(description="By ISO 4217 currency, XXX for none", examples=[{"EUR": 12.5}])
    complete_through: str | None = _COMPLETE_THROUGH


class Product(BaseModel):
    """Which product."""

    product_id: str


class Page(BaseModel):
    """Which page."""

    path: str


class ProductStats(Stats, Product):
    """Counts of one product; views are page_view events that name it."""


class PageStats(Stats, Page):
    """Counts of one page; views are page_view events on its path."""


class TopProduct(Product):
    """One line of a top list."""

    value: Amount


class TopProducts(BaseModel):
    """The products with the most, most first; equal ones by id."""

    items: list[TopProduct]
    complete_through: str | None = _COMPLETE_THROUGH
    exact: bool = Field(description="false: a shard had more products than it keeps, and values are lower bounds")
    currency: str | None = Field(description="Of the values, when the metric is revenue; else null")


def reading_routes(counters: CounterReader, freshness: Freshness, clock: Clock) -> APIRouter:
    """`/v1/products/…` and `/v1/pages/…`."""
    router = APIRouter(
        prefix="/v1",
        tags=["reading"],
        dependencies=[
            Security(APIKeyHeader(name="X-API-Key", auto_error=False)),
            Security(HTTPBearer(auto_error=False)),
        ],
        responses=documented(
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.REQUEST_URI_TOO_LONG,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.SERVICE_UNAVAILABLE,
        )
        | {HTTPStatus.NOT_MODIFIED: {"description": "Not Modified: If-None-Match names the current ETag"}},
    )

    async def count(entity: Entity, entity_id: str, window: Window) -> dict[str, Any]:
        async with within(READ_SECONDS):
            # Asked first: what is complete by then is in the counts read after it.
            complete_through = await freshness.complete_through()
            counts = await counters.counts(entity, entity_id, window, now=clock.now())
        return {"window": window, **asdict(counts), "complete_through": complete_through}

    @router.get("/products/top", response_model=TopProducts, summary="The products with the most")
    async def top_products(
        metric: Annotated[Metric, Query()] = Metric.VIEWS,
        window: WindowParameter = Window.DAY,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 10,
        currency: Annotated[
            str | None, Query(pattern="^[A-Z]{3}$", description="For revenue; else the one with the most purchases")
        ] = None,
    ) -> Response:
        async with within(READ_SECONDS):
            complete_through = await freshness.complete_through()
            top = await counters.top(metric, window, limit=limit, now=clock.now(), currency=currency)
        return _json(
            TopProducts(
                items=[TopProduct(product_id=item.entity_id, value=item.value) for item in top.items],
                complete_through=complete_through,
                exact=top.exact,
                currency=top.currency,
            )
        )

    @router.get("/products/{product_id:path}/stats", response_model=ProductStats, summary="Counts of a product")
    async def product_stats(
        product_id: Annotated[str, Path(examples=["sku-42"])], window: WindowParameter = Window.DAY
    ) -> Response:
        return _json(ProductStats(product_id=product_id, **await count(Entity.PRODUCT, product_id, window)))

    @router.get("/pages/stats", response_model=PageStats, summary="Counts of a page")
    async def page_stats(
        path: Annotated[str, Query(description="Path of the page; query and fragment are ignored", examples=["/p/42"])],
        window: WindowParameter = Window.DAY,
    ) -> Response:
        page = page_path(path)
        return _json(PageStats(path=page, **await count(Entity.PAGE, page, window)))

    return router


def _json(model: BaseModel) -> Response:
    """Amounts as numbers with all their digits."""
    return Response(_encoder.encode(model.model_dump()), media_type="application/json")
