"""How much one client may send."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.clock import ManualClock
from services.stats_api.throttle import Allowance, Client, Throttle, network_of
from tests.unit.services.stats_api_world import EVENT, open_api

ALLOWANCE = Allowance(rate=10.0, burst=20)
CLIENT = Client("192.0.2.1", None)


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 50)), max_size=50))
def test_no_one_gets_more_than_a_burst_a_rate_and_one_request_ahead(requests: list[tuple[float, int]]) -> None:
    clock = ManualClock()
    throttle, taken = Throttle(ALLOWANCE, clock), 0
    for pause, events in requests:
        clock.advance(pause)
        if not throttle.admit(CLIENT):
            throttle.charge(CLIENT, events - 1)
            taken += events
        assert taken <= ALLOWANCE.burst + ALLOWANCE.rate * clock.monotonic() + 50 + 1e-6


@given(st.integers(20, 500))
def test_who_waits_as_told_is_let_through(events: int) -> None:
    clock = ManualClock()
    throttle = Throttle(ALLOWANCE, clock)
    throttle.charge(CLIENT, events)
    wait = throttle.admit(CLIENT)
    assert wait == pytest.approx((events - 20 + 1) / 10)
    clock.advance(wait + 1e-6)
    assert throttle.admit(CLIENT) == 0


def test_clients_have_an_allowance_each_and_the_longest_silent_is_forgotten() -> None:
    throttle = Throttle(ALLOWANCE, ManualClock(), clients=2)
    first, second, third = (Client(f"192.0.2.{n}", None) for n in range(3))
    throttle.charge(second, 20)
    throttle.charge(first, 20)
    assert throttle.admit(first) == pytest.approx(0.1)
    assert throttle.admit(third) == 0  # and second is forgotten
    assert throttle.admit(first) > 0
    assert throttle.admit(second) == 0


def test_a_rate_of_zero_is_no_limit() -> None:
    throttle = Throttle(Allowance(rate=0, burst=1), ManualClock())
    throttle.charge(CLIENT, 500)
    assert throttle.admit(CLIENT) == 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("x" * 1000, ""),
        (None, ""),
    ],
)
def test_a_household_is_one_client(address: str | None, network: str) -> None:
    assert network_of(address) == network


async def test_who_sends_too_much_is_told_when_to_come_back() -> None:
    async with open_api(collect_rate=2, collect_burst=10) as world:
        assert (await world.collect(f"[{','.join([EVENT] * 10)}]"))[0] == 202
        for request in (
            world.http.post("/v1/collect", json=json.loads(EVENT)),
            world.http.get("/v1/collect.gif?event_type=login&session_id=s"),
        ):
            async with request as response:
                problem = await response.json(content_type="application/problem+json")
                assert (response.status, problem["status"], response.headers["Retry-After"]) == (429, 429, "1")
        assert (await world.get("/v1/products/p/stats"))[0] == 200  # reading is not collecting
        world.clock.advance(1)
        assert (await world.collect(EVENT))[0] == 202
        assert len(await world.records()) == 11


async def test_the_largest_request_passes_a_small_bucket_and_leaves_a_debt() -> None:
    async with open_api(collect_rate=100, collect_burst=10) as world:
        assert (await world.collect(f"[{','.join([EVENT] * 500)}]"))[0] == 202
        world.clock.advance(4.8)
        assert (await world.collect(EVENT))[0] == 429
        world.clock.advance(0.2)
        assert (await world.collect(EVENT))[0] == 202


async def test_a_body_that_is_no_event_costs_one() -> None:
    async with open_api(collect_rate=1, collect_burst=2) as world:
        statuses = [(await world.collect(body))[0] for body in ("{", "[]", EVENT)]
        assert statuses == [400, 202, 429]


async def test_a_write_key_has_an_allowance_of_its_own_but_a_made_up_one_has_not() -> None:
    async with open_api(collect_rate=1, collect_burst=1, write_keys="a,b") as world:
        statuses = [(await world.collect(EVENT, f"/v1/collect?key={key}"))[0] for key in "aabbc"]
        assert statuses == [202, 429, 202, 429, 403]
    async with open_api(collect_rate=1, collect_burst=1) as world:
        statuses = [(await world.collect(EVENT, f"/v1/collect?key={key}"))[0] for key in "ab"]
        assert statuses == [202, 429]
