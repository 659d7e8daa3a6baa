"""Groups of rows that Spark has counted → reports of files."""

from datetime import date

from jobs.medallion.model import Source, SourceFile, ToRead
from jobs.medallion.on_spark.tally import Tally

FIRST, SECOND = date(2026, 4, 8), date(2026, 4, 9)
FILE = SourceFile(source=Source.RAW, key="raw/events/a.jsonl.gz", etag="1", size=1)


def test_rows_of_all_days_and_dead_letters_are_the_lines_of_a_file() -> None:
    tally = Tally.of([(0, FIRST, False, None, 5), (0, SECOND, False, None, 2), (0, None, True, None, 3)])
    report = tally.report(0, ToRead(file=FILE))
    assert (report.rows, report.rejected, report.days, report.error) == (7, 3, ("2026-04-08", "2026-04-09"), None)


def test_of_a_file_read_again_only_the_days_asked_for_count_and_all_are_reported() -> None:
    asked = ToRead(file=FILE, only_days=("2026-04-09", "2026-04-10"))
    tally = Tally.of([(0, FIRST, False, None, 5), (0, SECOND, False, None, 2)])
    assert tally.counting(0, asked) == {"2026-04-09": 2}
    assert tally.report(0, asked).rows == 7


def test_of_a_file_that_breaks_off_nothing_counts() -> None:
    tally = Tally.of([(0, FIRST, False, None, 5), (0, None, False, "no gzip", 1), (0, None, True, None, 2)])
    report = tally.report(0, ToRead(file=FILE))
    assert (report.rows, report.rejected, report.days, report.error) == (0, 0, (), "no gzip")
    assert tally.counting(0, ToRead(file=FILE)) == {}


def test_a_file_without_lines_is_reported_too() -> None:
    report = Tally.of([]).report(0, ToRead(file=FILE))
    assert (report.rows, report.rejected, report.days, report.error) == (0, 0, (), None)
