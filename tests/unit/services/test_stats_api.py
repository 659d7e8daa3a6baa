"""Reading, and what holds for every route. Spoken to through a real server."""

import asyncio
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from headrace.counters.ports import CountKey, Counts, Entity
from headrace.errors import ConfigError, UnavailableError
from headrace.leases.model import SHARD_END, Lease, lease_key
from headrace.stream.ports import ShardId
from services.stats_api import server
from services.stats_api.keys import KeyRing
from tests.unit.services.stats_api_world import EVENT, open_api


async def test_a_product_is_told_with_all_its_counts() -> None:
    async with open_api() as world:
        counts = Counts(
            views=7, add_to_carts=2, purchases=1, quantity=3, revenue={"EUR": Decimal("12.5000"), "XXX": Decimal(1)}
        )
        key = CountKey(Entity.PRODUCT, "sku/ü 1", int(world.clock.now() // 60))
        await world.counters.apply("o1", 1, {key: counts}, now=world.clock.now(), ledger={})
        status, body = await world.get("/v1/products/sku%2F%C3%BC%201/stats?window=1h")
        assert status == 200
        assert body == {
            "product_id": "sku/ü 1",
            "window": "1h",
            "views": 7,
            "add_to_carts": 2,
            "purchases": 1,
            "quantity": 3,
            "revenue": {"EUR": 12.5, "XXX": 1},
            "complete_through": None,
        }


async def test_an_unknown_product_has_zeros() -> None:
    async with open_api() as world:
        status, body = await world.get("/v1/products/nobody/stats?window=all")
        assert (status, body["views"], body["revenue"]) == (200, 0, {})


async def test_a_page_is_found_by_its_path_whatever_follows_it() -> None:
    async with open_api() as world:
        await world.count(entity=Entity.PAGE, **{"/p/1": 4})
        for path in ("/p/1", "/p/1%3Fref=x", "https://shop.example/p/1%23top"):
            status, body = await world.get(f"/v1/pages/stats?path={path}&window=7d")
            assert (status, body["path"], body["window"], body["views"]) == (200, "/p/1", "7d", 4)


async def test_top_products_are_ordered_and_limited() -> None:
    async with open_api() as world:
        await world.count(a=1, b=5, c=3)
        status, body = await world.get("/v1/products/top?metric=views&window=1h&limit=2")
        assert status == 200
        assert body == {
            "items": [{"product_id": "b", "value": 5}, {"product_id": "c", "value": 3}],
            "complete_through": None,
            "exact": True,
            "currency": None,
        }


async def test_complete_through_is_the_least_of_the_shards_still_open() -> None:
    async with open_api() as world:
        info = await world.stream.info()

        def lease(number: int, **fields: Any) -> Lease:
            return Lease(key=lease_key(info, ShardId(f"shardId-{number:012}")), **fields)

        await world.leases.create([
            lease(0, complete_through=1_775_721_500.0),
            lease(1, complete_through=1_000.0, caught_up_at=1_775_721_400.9876),  # idle
            lease(2, complete_through=5.0, checkpoint=SHARD_END),
        ])  # fmt: skip
        _, body = await world.get("/v1/products/p/stats")
        assert body["complete_through"] == "2026-04-09T07:56:40.987Z"
        await world.leases.create([lease(3)])
        world.clock.advance(2)
        _, body = await world.get("/v1/products/p/stats")
        assert body["complete_through"] is None


async def test_every_error_is_a_problem() -> None:
    requests = [
        ("/v1/products/p/stats?window=2h", 422, ["window"]),
        ("/v1/products/top?metric=clicks&limit=0", 422, ["metric", "limit"]),
        ("/v1/products/top?limit=501", 422, ["limit"]),
        ("/v1/products/top?metric=revenue&currency=euro", 422, ["currency"]),
        ("/v1/pages/stats", 422, ["path"]),
        ("/v1/nothing", 404, []),
        ("/v1/products/p", 404, []),
        ("/v1/collect", 405, []),
    ]
    async with open_api() as world:
        for path, status, parameters in requests:
            async with world.http.get(path) as response:
                body = await response.json(content_type="application/problem+json")
                assert (response.status, body["status"], body["type"]) == (status, status, "about:blank"), path
                assert body["title"]
                assert [fault["parameter"] for fault in body.get("errors", [])] == parameters


async def test_a_place_that_does_not_answer_is_a_503_that_is_not_cached() -> None:
    async with open_api() as world:
        world.counters.failure = UnavailableError("down")
        async with world.http.get("/v1/products/p/stats") as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0
            assert "ETag" not in response.headers
        world.counters.failure = None
        assert (await world.get("/v1/products/p/stats"))[0] == 200


async def test_an_answer_is_kept_for_two_seconds_per_query() -> None:
    async with open_api() as world:
        await world.count(p=1)
        assert (await world.get("/v1/products/p/stats"))[1]["views"] == 1
        await world.count(batch_no=2, p=1)
        assert (await world.get("/v1/products/p/stats"))[1]["views"] == 1
        assert (await world.get("/v1/products/p/stats?window=1h"))[1]["views"] == 2
        world.clock.advance(2)
        assert (await world.get("/v1/products/p/stats"))[1]["views"] == 2
        assert world.counters.reads == 3


async def test_an_unchanged_answer_is_304() -> None:
    async with open_api() as world:
        async with world.http.get("/v1/products/p/stats") as response:
            etag = response.headers["ETag"]
            assert response.headers["Cache-Control"] == "max-age=2"
        world.clock.advance(3)
        for tags in (etag, f'"other", W/{etag}', "*"):
            async with world.http.get("/v1/products/p/stats", headers={"If-None-Match": tags}) as response:
                assert (response.status, await response.read()) == (304, b"")
                assert response.headers["ETag"] == etag
        await world.count(p=1)
        world.clock.advance(3)
        async with world.http.get("/v1/products/p/stats", headers={"If-None-Match": etag}) as response:
            assert response.status == 200
            assert response.headers["ETag"] != etag


async def test_many_who_ask_at_once_cause_one_read() -> None:
    async with open_api() as world:
        world.counters.gate.clear()
        asking = [asyncio.create_task(world.get("/v1/products/p/stats")) for _ in range(20)]
        async with asyncio.timeout(5):
            while not world.counters.reads:
                await asyncio.sleep(0)
        asking[0].cancel()  # who asked first leaves
        world.counters.gate.set()
        answers = await asyncio.gather(*asking[1:])
        assert {status for status, _ in answers} == {200}
        assert world.counters.reads == 1


async def test_reading_wants_a_key_when_there_are_keys() -> None:
    digest = sha256(b"second").hexdigest()
    async with open_api(api_keys=f"first,sha256:{digest}") as world:
        for headers in ({"X-API-Key": "first"}, {"X-API-Key": "second"}, {"Authorization": "Bearer second"}):
            assert (await world.get("/v1/products/p/stats", **headers))[0] == 200
        for headers in ({}, {"X-API-Key": "third"}, {"X-API-Key": digest}, {"Authorization": "Basic second"}):
            for path in ("/v1/products/p/stats", "/v1/pages/stats?path=/", "/v1/products/top"):
                status, body = await world.get(path, **headers)
                assert (status, body["status"]) == (401, 401)
        assert (await world.get("/livez"))[0] == 200
        assert (await world.collect(EVENT))[0] == 202


def test_a_malformed_digest_is_a_configuration_problem_that_does_not_show_it() -> None:
    with pytest.raises(ConfigError) as caught:
        KeyRing(["sha256:secret"], setting="HEADRACE_API_KEYS")
    assert "HEADRACE_API_KEYS" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_no_other_origin_may_call_unless_it_is_named() -> None:
    async with (
        open_api() as world,
        world.http.get("/v1/products/p/stats", headers={"Origin": "https://a.example"}) as told,
    ):
        assert "Access-Control-Allow-Origin" not in told.headers
    async with open_api(cors_origins="https://a.example", api_keys="k") as world:
        preflight = {
            "Origin": "https://a.example",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "x-api-key",
        }
        async with world.http.options("/v1/products/p/stats", headers=preflight) as told:
            assert (told.status, told.headers["Access-Control-Allow-Origin"]) == (200, "https://a.example")
        async with world.http.options(
            "/v1/products/p/stats", headers={**preflight, "Origin": "https://b.example"}
        ) as told:
            assert "Access-Control-Allow-Origin" not in told.headers


async def test_requests_are_measured_by_route_template() -> None:
    async with open_api() as world:
        for path in ("/v1/products/a/stats", "/v1/products/a/stats", "/v1/products/b/stats", "/secret/path"):
            await world.get(path)
        async with world.http.get("/metrics") as response:
            lines = (await response.text()).splitlines()
        name = "headrace_http_request_duration_seconds_count"
        assert f'{name}{{method="GET",route="/v1/products/{{product_id}}/stats",status="200"}} 3.0' in lines
        assert f'{name}{{method="GET",route="unmatched",status="404"}} 1.0' in lines
        assert not any("secret" in line for line in lines)


async def test_readiness_tells_which_dependency_is_missing() -> None:
    async def broken() -> None:
        raise UnavailableError("down")

    async with open_api() as world:
        assert (await world.get("/readyz"))[0] == 503
        world.health.started()
        assert await world.get("/readyz") == (200, {"ready": True, "problems": {}})
        world.health.add_check("stream", broken)
        assert await world.get("/readyz") == (503, {"ready": False, "problems": {"stream": "UnavailableError"}})
        assert (await world.get("/livez"))[0] == 200


async def test_it_is_alive_while_the_server_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BEAT_SECONDS", 0)
    async with open_api() as world, asyncio.timeout(10):
        world.clock.advance(121.0)
        while await world.get("/livez") != (200, {"alive": True}):
            await asyncio.sleep(0.02)


async def test_it_is_not_alive_when_the_server_ticks_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BEAT_SECONDS", 3600)  # the first tick of all is at once
    async with open_api() as world:
        assert await world.get("/livez") == (200, {"alive": True})
        world.clock.advance(121.0)
        assert await world.get("/livez") == (503, {"alive": False})


async def test_the_openapi_document_describes_every_answer() -> None:
    async with open_api() as world:
        _, document = await world.get("/openapi.json")
    paths = document["paths"]
    assert {
        "/v1/products/{product_id}/stats", "/v1/products/top", "/v1/pages/stats", "/v1/collect", "/v1/collect.gif",
        "/livez", "/readyz", "/metrics",
    } == set(paths)  # fmt: skip
    names = set(document["components"]["schemas"])
    for path, route in paths.items():
        for operation in route.values():
            for status, response in operation["responses"].items():
                for media_type, content in response.get("content", {}).items():
                    assert int(status) < 400 or path in {"/livez", "/readyz"} or "problem+json" in media_type
                    reference = content.get("schema", {}).get("$ref", "#/Problem")
                    assert reference.rsplit("/", 1)[1] in names
    stats = document["components"]["schemas"]["ProductStats"]["properties"]
    assert stats["revenue"]["additionalProperties"] == {"type": "number"}
    assert set(paths["/v1/collect"]["post"]["requestBody"]["content"]) == {"application/json", "text/plain"}
