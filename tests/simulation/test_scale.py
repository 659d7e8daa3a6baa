"""Small fleets by the stop-watch; `make simulate` measures the large ones."""

from dataclasses import replace
from functools import partial

import pytest

from tests.simulation.resharding import resize
from tests.simulation.scale import SIZES, Figures, Size, measure

REST_SECONDS = 60.0


def figures(size: Size) -> Figures:
    """What a case measures, with a shorter rest."""
    measured, _ = measure(replace(size, rest=REST_SECONDS))
    assert measured.problems == []
    return measured


@pytest.mark.parametrize("name", ["one", "few"])
def test_a_fleet_that_starts_takes_each_shard_once_and_rests(name: str) -> None:
    started = figures(SIZES[name])
    assert started.moves == started.needed == started.shards
    assert {method for method, rate in started.resting.items() if rate} == {"renew", "list"}


def test_workers_without_a_shard_do_no_harm() -> None:
    started = figures(SIZES["spare"])
    assert (started.workers, started.shards) == (5, 2)
    assert started.moves <= 3


def test_a_worker_that_joins_is_handed_its_share_and_no_more() -> None:
    joined = figures(replace(SIZES["join"], shards=9))
    assert joined.moves == joined.needed == 4
    assert joined.pause > 0


def test_the_shards_of_a_worker_that_is_stopped_are_handed_over_before_it_ends() -> None:
    left = figures(replace(SIZES["leave"], shards=9, workers=3))
    assert left.moves == left.needed == 3


def test_the_shards_of_a_killed_worker_are_read_again_when_its_leases_have_expired() -> None:
    killed = figures(replace(SIZES["kill"], shards=9, workers=3))
    assert killed.moves == killed.needed == 3
    assert killed.outage > 5.0


def test_a_rolling_deploy_moves_every_shard_and_none_waits_for_long() -> None:
    deployed = figures(replace(SIZES["deploy"], shards=6, workers=3, fewest=6))
    assert 6 <= deployed.moves <= 9
    assert deployed.workers == 3


def test_twice_as_many_shards_are_shared_out_once_their_parents_have_ended() -> None:
    doubled = figures(replace(SIZES["double"], shards=4, workers=2, event=partial(resize, count=8), fewest=8))
    assert doubled.shards == 8


def test_what_is_too_much_is_said() -> None:
    size = SIZES["few"]
    good = Figures(size=size, shards=8, workers=3, balanced=1.0, resting={"renew": 144.0, "list": 115.0})
    assert good.problems == []
    bad = replace(good, balanced=11.0, resting={"renew": 300.0}, wandered=1, pause=2.5, outage=12.5)
    assert bad.problems == [
        "balanced after 11.0 s, not 10",
        "1 moves at rest",
        "a shard was not read for 2.50 s though its owner lived",
        "a killed worker's shard was not read for 12.5 s",
        "300 calls a minute at rest, not 260",
    ]
