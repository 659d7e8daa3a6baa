"""`make bench`: prints a table and writes `bench/results.json`."""

import argparse
import base64
import json
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path

import botocore.serialize
import botocore.session
import duckdb
import msgspec
from rich.console import Console
from rich.table import Table
from uvloop import run as run_loop

from bench import cost, delivery, drain, peers, per_record, stats_api
from bench.events import make_events
from bench.headrace_path import land, page_to_body
from bench.measure import cpu_us, cpu_us_async
from bench.results import RESULTS, Row, add
from headrace.runtime import spare_the_collector
from headrace.stream.kinesis.wire import decode_get_records

UNIT = "µs CPU per event"
PAGE_EVENTS = 500
WHOLE = 1000
"""From here on decimals tell nothing."""


def wire_decode(payloads: Sequence[bytes], streamed: int, endpoint: str) -> Row:
    """GetRecords body → payloads. Limit: base64 alone.

    async-kinesis cannot be taken apart: its figure is a stream consumed to its payloads, network included.
    """
    body = _get_records_body(payloads)
    texts = [base64.b64encode(payload) for payload in payloads]
    count = len(payloads)
    return Row(
        name="wire_decode",
        unit=UNIT,
        headrace=cpu_us(count, lambda: [record.data for record in decode_get_records(body).records]),
        per_record=cpu_us(count, lambda: per_record.parse_get_records(body)),
        async_kinesis=cpu_us_async(streamed, lambda: peers.consume_async_kinesis(streamed, endpoint), repeats=3),
        limit=cpu_us(count, lambda: list(map(base64.b64decode, texts))),
    )


def transform(payloads: list[bytes]) -> Row:
    """Payloads → validated hourly Parquet bytes. Limit: DuckDB, NDJSON → one Parquet file, nothing checked."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "events.ndjson"), Path(folder, "events.parquet")
        source.write_bytes(b"\n".join(payloads))
        return Row(
            name="transform",
            unit=UNIT,
            headrace=cpu_us(len(payloads), lambda: land(payloads)),
            per_record=cpu_us(len(payloads), lambda: per_record.to_parquet(payloads)),
            async_kinesis=None,
            limit=cpu_us(len(payloads), lambda: _duckdb(source, target)),
        )


def consume(payloads: Sequence[bytes]) -> Row:
    """A stream on the local cloud → Parquet bytes, network included."""
    count = len(payloads)
    return Row(
        name="consume",
        unit=UNIT,
        headrace=cpu_us_async(count, lambda: peers.consume_headrace(count), repeats=3),
        per_record=cpu_us(count, lambda: peers.consume_per_record(count), repeats=3),
        async_kinesis=None,
        limit=None,
    )


def poll_to_put(payloads: Sequence[bytes], endpoint: str) -> Row:
    """A page of the web traffic API → PutRecords body. Limit: JSON there and back, nothing checked."""
    count = PAGE_EVENTS
    page = b'{"events":[' + b",".join(payloads[:count]) + b'],"next_cursor":"1"}'
    model = botocore.session.get_session().get_service_model("kinesis").operation_model("PutRecords")
    serializer = botocore.serialize.create_serializer("json")
    events = [msgspec.json.decode(payload) for payload in payloads]

    def boto3_way() -> object:
        entries = per_record.page_to_entries(page)
        return serializer.serialize_to_request({"StreamName": "bench", "Records": entries}, model)

    return Row(
        name="poll_to_put",
        unit=UNIT,
        headrace=cpu_us(count, lambda: page_to_body(page), repeats=40),
        per_record=cpu_us(count, boto3_way, repeats=40),
        async_kinesis=cpu_us_async(len(events), lambda: peers.put_async_kinesis(events, endpoint), repeats=3),
        limit=cpu_us(count, lambda: _json_there_and_back(page), repeats=40),
    )


def delivered(payloads: Sequence[bytes]) -> Row:
    """Records → durable, committed objects. Limit: plain PUTs of the same objects, with no promise."""
    exactly_once, by_puts = run_loop(delivery.measure(payloads))
    return Row(name="delivery", unit=UNIT, headrace=exactly_once, per_record=None, async_kinesis=None, limit=by_puts)


def stats_rows() -> list[Row]:
    """Cached reads of the stats API under 32 connections. Limit: a bare Starlette route, and one read per expiry."""
    found = stats_api.measure()
    rows: list[tuple[str, str, float, float]] = [
        ("stats_api", "requests/s", found.headrace.rate, found.bare.rate),
        ("stats_api_p99", "ms", found.headrace.p99, found.bare.p99),
        ("stats_api_reads", "backend reads", found.reads, found.fewest_reads),
    ]
    return _measured(rows)


def drain_rows(events: int) -> list[Row]:
    """A transformer on memory adapters, the whole protocol included. Limit: what we ask of it, where we do."""
    usual, few, many = *drain.measure(8, events=events), *drain.measure(4, 64, events=2 * events)
    rows: list[tuple[str, str, float, float | None]] = [
        ("drain", "events/s", usual.rate, 120_000.0),
        ("drain_cpu", UNIT, usual.cpu_us, None),
        ("drain_memory", "MB beyond the stream", usual.rss / 1e6, 600.0),
        ("drain_shards", "CPU at 64 ÷ at 4 shards", many.cpu_us / few.cpu_us, 1.2),
        ("drain_idle", "% of a core, 64 idle shards", 100 * drain.measure_idle(64), None),
        ("drain_control", "calls per 1,000 events", usual.per_thousand(usual.control_calls), None),
        ("drain_s3", "calls per 1,000 events", usual.per_thousand(usual.s3_calls), None),
    ]
    return _measured(rows)


def _measured(rows: Sequence[tuple[str, str, float, float | None]]) -> list[Row]:
    """Rows of name, unit, our figure and the limit: nobody else is measured beside us."""
    return [
        Row(name=name, unit=unit, headrace=ours, per_record=None, async_kinesis=None, limit=limit)
        for name, unit, ours, limit in rows
    ]


def main() -> None:
    """Run every row, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=50_000, help="events in memory (default %(default)s)")
    parser.add_argument("--streamed", type=int, default=40_000, help="events on the local stream (default %(default)s)")
    parser.add_argument(
        "--drained", type=int, default=drain.EVENTS, help="events that a transformer drains (default %(default)s)"
    )
    parser.add_argument(
        "--steady",
        type=float,
        default=cost.SECONDS,
        help="seconds of a steady rate through all services (default %(default)s)",
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the figures go")
    arguments = parser.parse_args()
    spare_the_collector()  # as every service does
    console = Console(stderr=True)
    payloads = make_events(arguments.events)
    size = sum(map(len, payloads)) / len(payloads)
    streamed = payloads[: arguments.streamed]
    with console.status("measuring …"), peers.local_stream(streamed) as url:
        rows = [
            wire_decode(payloads[:10_000], len(streamed), url),
            transform(payloads),
            consume(streamed),
            poll_to_put(streamed, url),
            delivered(make_events(2 * arguments.events)),  # a batch of the default size
        ]
        rows += stats_rows()
    rows += drain_rows(arguments.drained)
    rows += cost.measure(arguments.steady)
    add(arguments.output, rows)
    Console().print(_table(rows, f"{len(payloads):,} events of {size:.0f} bytes, Python {platform.python_version()}"))


def _table(rows: Sequence[Row], caption: str) -> Table:
    table = Table(title="Lower is better, except for rates", caption=caption)
    table.add_column("what", no_wrap=True)
    table.add_column("unit")
    for name in ("Headrace", "per record", "async-kinesis", "limit"):
        table.add_column(name, justify="right")
    for row in rows:
        others = [_beside(value, row.headrace) for value in (row.per_record, row.async_kinesis, row.limit)]
        table.add_row(row.name, row.unit, _plain(row.headrace), *others)
    return table


def _beside(value: float | None, ours: float) -> str:
    return "–" if value is None else f"{_plain(value)} (×{value / ours:.1f})"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= WHOLE else f"{value:.2f}"


def _get_records_body(payloads: Sequence[bytes]) -> bytes:
    records = [
        {
            "Data": base64.b64encode(payload).decode(),
            "PartitionKey": str(n),
            "SequenceNumber": f"{49_600_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000 + n}",
            "ApproximateArrivalTimestamp": 1_775_721_600.123 + n,
        }
        for n, payload in enumerate(payloads)
    ]
    return json.dumps({"Records": records, "NextShardIterator": "next", "MillisBehindLatest": 0}).encode()


def _json_there_and_back(page: bytes) -> list[bytes]:
    return [base64.b64encode(msgspec.json.encode(event)) for event in msgspec.json.decode(page)["events"]]


def _duckdb(source: Path, target: Path) -> None:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(
            f"COPY (SELECT * FROM read_json('{source}', format = 'newline_delimited')) "  # noqa: S608 - our own paths
            f"TO '{target}' (FORMAT parquet, COMPRESSION snappy)"
        )


if __name__ == "__main__":
    main()
