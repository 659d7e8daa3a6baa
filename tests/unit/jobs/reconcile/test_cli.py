from pathlib import Path

from headrace.telemetry.metrics import Metrics
from jobs.reconcile.audit import Audit, Check
from jobs.reconcile.cli import rows_of, summary


def test_every_kind_has_a_row_and_every_mismatch_its_own() -> None:
    audit = Audit()
    for number in range(1_500):
        audit.compare(Check.ROWS, f"key-{number}", expected={"rows": 1}, found={"rows": 1})
    audit.compare(Check.ROWS, "odd", expected={"rows": 1, "size": 7}, found={"rows": 2, "size": 7})
    audit.in_flight.append("manifest")
    rows = rows_of(audit)
    assert [row[:3] for row in rows if row[1] == "agree"] == [
        (str(check), "agree", 0) for check in Check if check is not Check.ROWS
    ]
    at = rows.index(("rows", "differ", 1_501, "", "", ""))
    assert rows[at + 1] == ("rows", "mismatch", 1, "odd", "rows 1", "rows 2")
    assert rows[-1] == ("batches", "in flight", 1, "manifest", "", "")
    assert summary(audit) == "1,501 comparisons: 1 mismatch"


def test_the_summary_says_that_all_agrees() -> None:
    audit = Audit()
    audit.compare(Check.SOURCE, "shop", expected={"polled": 1}, found={"polled": 1})
    assert summary(audit) == "1 comparisons: all agrees"


def test_the_file_for_prometheus_has_this_jobs_samples_alone(tmp_path: Path) -> None:
    metrics = Metrics()
    metrics.reconciliation_mismatch.labels("rows").inc(3)
    metrics.write(tmp_path / "reconcile.prom", "headrace_reconciliation_mismatch_total")
    lines = (tmp_path / "reconcile.prom").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'headrace_reconciliation_mismatch_total{check="rows"} 3.0'
    ]
