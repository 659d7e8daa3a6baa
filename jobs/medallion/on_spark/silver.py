"""The silver step: files of bronze → sorted days without copies. A day that changes is written whole."""

from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path

import msgspec
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as fn

from headrace.events.arrow import EVENT_SCHEMA
from headrace.quarantine import Envelope, envelope
from headrace.settings import Settings
from jobs.medallion import places
from jobs.medallion.duck.doubtful import STAGE
from jobs.medallion.duck.letters import Letters
from jobs.medallion.duck.reading import UNREADABLE
from jobs.medallion.model import FileReport, Plan, SilverDay, SilverFile, SilverReport, Source, Tables, ToRead
from jobs.medallion.on_spark.decoding import READ, decode_lines, read_landed
from jobs.medallion.on_spark.place import Place
from jobs.medallion.on_spark.queries import COPIES, PROPERTIES_TEXT, RAW_EVENTS, distinct_query, silver_query
from jobs.medallion.on_spark.reading import FILES, RAW, take_lines
from jobs.medallion.on_spark.relations import ddl, events_of
from jobs.medallion.on_spark.tally import Tally
from jobs.medallion.on_spark.writing import WRITTEN, write_days
from jobs.medallion.ports import OnRows

ROWS_OF_A_FILE = 4_000_000
"""About 120 MB."""
FILE_BYTES = 160 << 20
"""A part of the sorted rows is a file of each of its days; one that comes out much larger than meant is several."""
_BYTES_OF_A_TASK = 64 << 20

_envelopes = msgspec.json.Decoder(Envelope)


class SilverStep:
    """One run of the step."""

    def __init__(
        self, spark: SparkSession, place: Place, settings: Settings, plan: Plan, before: Tables,
        check: Callable[[], None],
    ) -> None:  # fmt: skip
        self._spark = spark
        self._place = place
        self._settings = settings
        self._plan = plan
        self._before = {} if plan.full else {day.day: day.files for day in before.days if day.day not in plan.rebuild}
        self._gone = {day.day for day in before.days} if plan.full else set(plan.rebuild)
        self._check = check

    def run(self, scratch: Path, on_rows: OnRows) -> SilverReport:
        """Read, report, write. What was read stays on the executors' disks until the end."""
        read = self._read().persist(StorageLevel.DISK_ONLY)
        try:
            tally = self._tally(read)
            reports = tuple(tally.report(number, asked) for number, asked in enumerate(self._plan.read))
            on_rows(sum(report.rows + report.rejected for report in reports))
            self._check()
            letters = self._write_letters(read, reports, scratch)
            self._check()
            days, duplicates = self._write_days(read, tally)
        finally:
            read.unpersist()
        return SilverReport(days=days, files=reports, duplicates=duplicates, dead_letters=letters)

    def _read(self) -> DataFrame:
        """All files, as `READ`."""
        numbered = list(enumerate(self._plan.read))
        landed = self._files([(n, asked) for n, asked in numbered if asked.file.source is Source.EVENTS])
        raw = self._files([(n, asked) for n, asked in numbered if asked.file.source is Source.RAW])
        lines = raw.mapInArrow(partial(take_lines, self._place), ddl(RAW))
        lines.createOrReplaceTempView(RAW_EVENTS)
        keys = self._spark.sparkContext.broadcast([asked.file.key for asked in self._plan.read])
        decode = partial(decode_lines, keys, self._settings, self._plan.started)
        typed = self._spark.sql(silver_query(self._settings))
        rows = typed.mapInArrow(decode, ddl(READ))
        return rows.unionAll(landed.mapInArrow(partial(read_landed, self._place), ddl(READ)))

    def _files(self, asked: Sequence[tuple[int, ToRead]]) -> DataFrame:
        """Files as `FILES`, in as many parts as keep the executors busy: the large ones first, dealt out in turn."""
        size = sum(each.file.size for _, each in asked)
        at_once = self._spark.sparkContext.defaultParallelism
        parts = max(1, min(len(asked), max(at_once, size // _BYTES_OF_A_TASK)))
        by_size = sorted(asked, key=lambda each: each[1].file.size, reverse=True)
        dealt = [each for part in range(parts) for each in by_size[part::parts]]
        rows = [(number, each.file.key, each.file.etag) for number, each in dealt]
        return self._spark.createDataFrame(self._spark.sparkContext.parallelize(rows, parts), ddl(FILES))

    def _tally(self, read: DataFrame) -> Tally:
        groups = ("file", "event_date", fn.col("letter").isNotNull(), "error")
        return Tally.of(tuple(row) for row in read.groupBy(*groups).count().collect())

    def _write_letters(self, read: DataFrame, reports: Sequence[FileReport], scratch: Path) -> tuple[str, ...]:
        """Dead letters in the order of the plan. Of files that were read before there are none: they were sent then."""
        plan = self._plan
        letters = Letters(
            self._place.files(scratch), lambda number: places.work_dead_letters(plan.run, plan.attempt, number)
        )
        for report in reports:
            if report.error is not None:
                letters.add([
                    envelope(
                        b"", reason=UNREADABLE, detail=report.error, stage=STAGE, position=report.file.key,
                        seen_at=plan.started,
                    )
                ])  # fmt: skip
        new = {number for number, asked in enumerate(plan.read) if asked.only_days is None}
        if any(report.rejected for report in reports):
            rejected = read.where("letter IS NOT NULL").select("file", "letter")
            for file, letter in rejected.toLocalIterator():
                if file in new and reports[file].error is None:
                    letters.add([_envelopes.decode(letter)])
        letters.write()
        return tuple(letters.keys)

    def _write_days(self, read: DataFrame, tally: Tally) -> tuple[tuple[SilverDay, ...], int]:
        """The days that changed, and how many rows were dropped as copies."""
        counting = [tally.counting(number, asked) for number, asked in enumerate(self._plan.read)]
        changed = {day for days in counting for day in days}
        old = [file for day in sorted(changed) for file in self._before.get(day, ())]
        rows = sum(file.rows for file in old) + sum(sum(days.values()) for days in counting)
        files: dict[str, list[SilverFile]] = {day: [] for day in self._gone | changed}
        if rows:
            before = events_of(self._spark, self._place, [file.key for file in old])
            for day, key, size, kept, first, last in self._written(before.unionByName(self._new(read, tally)), rows):
                files[day].append(SilverFile(key=key, size=size, rows=kept, first=first, last=last))
        days = tuple(SilverDay(day=day, files=tuple(sorted(files[day], key=_by_time))) for day in sorted(files))
        return days, rows - sum(file.rows for day in days for file in day.files)

    def _new(self, read: DataFrame, tally: Tally) -> DataFrame:
        """The rows read that count, with `event_date`."""
        rows = read.where("letter IS NULL AND error IS NULL").where(~fn.col("file").isin(list(tally.errors)))
        narrowed = [(number, asked) for number, asked in enumerate(self._plan.read) if asked.only_days is not None]
        if narrowed:
            all_days = ~fn.col("file").isin([number for number, _ in narrowed])
            wanted = [(number, date.fromisoformat(day)) for number, asked in narrowed for day in asked.only_days or ()]
            pairs = fn.broadcast(self._spark.createDataFrame(wanted, "file int, event_date date"))
            rows = rows.where(all_days).unionByName(rows.join(pairs, ["file", "event_date"], "left_semi"))
        return rows.select(*EVENT_SCHEMA.names, "event_date")

    def _written(self, copies: DataFrame, rows: int) -> list[tuple[str, str, int, int, int, int]]:
        """Write the rows once each; what `WRITTEN` says of the files."""
        copies.selectExpr(
            "*", f"{PROPERTIES_TEXT} AS properties_text", "monotonically_increasing_id() AS place"
        ).createOrReplaceTempView(COPIES)
        kept = self._spark.sql(distinct_query()).where("copy = 1").select("event_date", *EVENT_SCHEMA.names)
        order = [fn.col("event_date"), fn.col("event_time"), fn.col("event_id").asc_nulls_last()]
        parts = -(-rows // ROWS_OF_A_FILE)
        folder = f"{places.work_area(self._plan.run, self._plan.attempt)}silver/event_date="
        write = partial(write_days, self._place, folder, FILE_BYTES)
        ordered = kept.repartitionByRange(parts, *order).sortWithinPartitions(*order)
        return [tuple(row) for row in ordered.mapInArrow(write, ddl(WRITTEN)).collect()]


def _by_time(file: SilverFile) -> tuple[int, str]:
    return file.first, file.key
