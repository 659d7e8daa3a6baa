"""What CloudWatch is told of a process, line by line."""

import asyncio
import json
import math
from collections.abc import Mapping

import pytest

from headrace.clock import ManualClock
from headrace.telemetry.cloudwatch import NOTHING, Publisher, Seen, look, summarize
from headrace.telemetry.metrics import Metrics
from headrace.telemetry.published import ALIVE, PUBLISHED, How

MOMENT = 1_775_721_600.0


def told(metrics: Metrics, service: str, before: Seen = NOTHING) -> Mapping[str, float]:
    return summarize(PUBLISHED[service], look(metrics.registry, MOMENT, before), before)


def test_a_counter_is_told_as_its_rise_over_all_series() -> None:
    metrics = Metrics()
    metrics.rows_committed.labels("s-1").inc(5)
    before = look(metrics.registry, MOMENT)
    metrics.rows_committed.labels("s-1").inc(2)
    metrics.rows_committed.labels("s-2").inc(4)
    now = told(metrics, "transformer", before)
    assert now["headrace_rows_committed_total"] == 6
    assert now["headrace_records_dead_lettered_total"] == 0


def test_a_series_that_was_dropped_with_its_shard_and_began_anew_never_makes_a_rise_negative() -> None:
    metrics = Metrics()
    metrics.rows_committed.labels("s-1").inc(5)
    metrics.rows_committed.labels("s-2").inc(9)
    before = look(metrics.registry, MOMENT)
    metrics.forget_shard("s-1")
    metrics.forget_shard("s-2")
    metrics.rows_committed.labels("s-1").inc(3)
    now = told(metrics, "transformer", before)
    assert now["headrace_rows_committed_total"] == 3


def test_of_a_gauge_the_worst_shard_is_told_and_nothing_where_there_is_none() -> None:
    metrics = Metrics()
    assert "headrace_consumer_lag_seconds" not in told(metrics, "transformer")
    metrics.consumer_lag.labels("s-1").set(3)
    metrics.consumer_lag.labels("s-2").set(70)
    assert told(metrics, "transformer")["headrace_consumer_lag_seconds"] == 70
    for no_number in (math.nan, math.inf):  # JSON has no word for either
        metrics.consumer_lag.labels("s-1").set(no_number)
        metrics.consumer_lag.labels("s-2").set(no_number)
        assert "headrace_consumer_lag_seconds" not in told(metrics, "transformer")


def test_completeness_is_told_as_the_age_of_the_shard_that_is_furthest_behind() -> None:
    metrics = Metrics()
    metrics.complete_through.labels("s-1").set(MOMENT - 4)
    metrics.complete_through.labels("s-2").set(MOMENT - 600)
    assert told(metrics, "transformer")["headrace_complete_through_age_seconds"] == 600
    metrics.complete_through.labels("s-2").set(MOMENT + 1)
    metrics.complete_through.labels("s-1").set(MOMENT + 1)
    assert told(metrics, "transformer")["headrace_complete_through_age_seconds"] == 0


def test_the_shard_that_has_stood_still_for_longest_is_told_until_it_moves() -> None:
    metrics, seen = Metrics(), NOTHING
    still = []
    for minute in range(5):
        metrics.complete_through.labels("s-1").set(MOMENT + minute)
        metrics.complete_through.labels("s-2").set(MOMENT if minute < 3 else MOMENT + minute)
        now = look(metrics.registry, MOMENT + 60 * minute, seen)
        still.append(summarize(PUBLISHED["transformer"], now, seen)["headrace_complete_through_still_seconds"])
        seen = now
    assert still == [0, 60, 120, 0, 0]


def test_a_percentage_is_of_the_time_since_the_line_before_and_of_nothing_there_is_none() -> None:
    metrics, name = Metrics(), "headrace_records_dead_lettered_percent"
    metrics.records_received.labels("s-1").inc(10)
    metrics.records_dead_lettered.labels("not_json").inc(10)
    before = look(metrics.registry, MOMENT)
    assert name not in told(metrics, "transformer", before)
    metrics.records_received.labels("s-1").inc(30)
    metrics.records_received.labels("s-2").inc(10)
    assert told(metrics, "transformer", before)[name] == 0
    metrics.records_dead_lettered.labels("no_session").inc(1)
    assert told(metrics, "transformer", before)[name] == 2.5


def test_a_quantile_is_of_what_was_observed_since_the_line_before() -> None:
    metrics = Metrics()
    for _ in range(1_000):
        metrics.event_to_visible.observe(200)
    before = look(metrics.registry, MOMENT)
    name = "headrace_event_to_visible_seconds_p99"
    assert name not in told(metrics, "transformer", before)
    for _ in range(100):
        metrics.event_to_visible.observe(4)  # between the bounds 2.5 and 5
    assert told(metrics, "transformer", before)[name] == pytest.approx(2.5 + 2.5 * 0.99)
    for _ in range(5):
        metrics.event_to_visible.observe(10_000)  # above the last bound: as much as can be said
    assert told(metrics, "transformer", before)[name] == 300


def test_the_stats_api_tells_of_its_routes_and_of_its_own_faults_only() -> None:
    metrics = Metrics()
    for route, status, seconds in (
        ("/livez", "503", 4.0),
        ("/v1/collect", "202", 0.0005),
        ("/v1/products/top", "404", 0.0005),
        ("/v1/products/top", "503", 0.0005),
    ):
        metrics.http_seconds.labels(route, "GET", status).observe(seconds)
    found = told(metrics, "stats_api")
    assert (found["headrace_http_requests_total"], found["headrace_http_failures_total"]) == (3, 1)
    assert found["headrace_http_failures_percent"] == pytest.approx(100 / 3)
    assert found["headrace_http_request_duration_seconds_p95"] <= 0.001


@pytest.mark.parametrize("service", PUBLISHED)
def test_what_is_published_exists_and_no_two_share_a_name(service: str) -> None:
    families = {family.name: family.type for family in Metrics().registry.collect()}
    kinds = {
        How.RISE: {"counter", "histogram"}, How.PERCENT: {"counter", "histogram"}, How.QUANTILE: {"histogram"},
        How.MOST: {"gauge"}, How.AGE: {"gauge"}, How.STILL: {"gauge"},
    }  # fmt: skip
    for each in PUBLISHED[service]:
        family = each.source.removesuffix("_total").removesuffix("_bucket").removesuffix("_count")
        assert families[family] in kinds[each.how]
    names = [each.called for each in PUBLISHED[service]]
    assert len(set(names)) == len(names) <= 100  # the most that one line may hold


@pytest.mark.parametrize("service", ["api_consumer", "transformer", "partitioner", "stats_api"])
def test_every_service_says_in_every_line_that_it_lives(service: str) -> None:
    assert ALIVE in PUBLISHED[service]
    assert ALIVE.called in told(Metrics(), service)


def test_a_line_is_one_of_our_log_lines_and_an_embedded_metric_document() -> None:
    metrics, written = Metrics(), list[str]()
    metrics.records_polled.inc(7)
    Publisher("api_consumer", metrics, namespace="shop", clock=ManualClock(MOMENT), write=written.append).publish()
    [text] = written
    assert "\n" not in text
    document = json.loads(text)
    assert list(document)[:4] == ["ts", "level", "event", "service"]
    assert document["ts"] == "2026-04-09T08:00:00Z"
    meta = document["_aws"]
    assert meta["Timestamp"] == MOMENT * 1000
    [directive] = meta["CloudWatchMetrics"]
    assert directive["Namespace"] == "shop"
    assert directive["Dimensions"] == [["service"]]
    assert document["service"] == "api_consumer"
    units = {each.called: each.unit for each in PUBLISHED["api_consumer"]}
    for metric in directive["Metrics"]:
        assert metric["Unit"] == units[metric["Name"]]
        assert math.isfinite(document[metric["Name"]])
    assert document["headrace_records_polled_total"] == 7


@pytest.mark.parametrize(("service", "namespace"), [("api_consumer", ""), ("simulator", "shop")])
def test_nothing_is_written_without_a_namespace_or_for_a_service_without_metrics(service: str, namespace: str) -> None:
    written = list[str]()
    Publisher(service, Metrics(), namespace=namespace, write=written.append).publish()
    assert written == []


async def test_a_line_comes_each_minute_and_one_at_the_end_for_what_came_after_it() -> None:
    metrics, written, clock = Metrics(), list[str](), ManualClock(MOMENT)
    three = asyncio.Event()

    def write(text: str) -> None:
        written.append(text)
        metrics.records_put.inc()
        if len(written) == 3:
            three.set()

    async with Publisher("api_consumer", metrics, namespace="shop", clock=clock, write=write).running():
        await three.wait()
    documents = [json.loads(text) for text in written]
    moments = [document["_aws"]["Timestamp"] / 1000 - MOMENT for document in documents]
    assert moments[:3] == [60, 120, 180]
    assert len(moments) >= 4
    assert [document["headrace_records_put_total"] for document in documents[:3]] == [0, 1, 1]
    assert sum(document["headrace_records_put_total"] for document in documents) == len(documents) - 1
