"""The life of a query.

    QUEUED ──▶ RUNNING ──▶ SUCCEEDED
       │          ├──────▶ FAILED      (with a reason)
       └──────────┴──────▶ CANCELLED   (StopQueryExecution)

Executions run on a few threads; the event loop never waits for one. They and the workgroups live in memory, as long as
the process does; the latest `KEPT` are remembered. What they did to the catalogue lives in Glue.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Protocol
from uuid import uuid4

from deploy.local.athena.errors import AthenaError, InvalidRequestError
from deploy.local.athena.hive_types import ColumnInfo
from deploy.local.athena.results import RowIndex
from deploy.local.athena.statements import Runnable, Select, StatementType, Write, statement_type
from headrace.clock import Clock
from headrace.telemetry.log import get_logger

KEPT = 10_000
THREADS = 8
INTERRUPT_SECONDS = 0.05


class State(StrEnum):
    """Athena's words."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a statement that succeeded left behind in its output file."""

    columns: tuple[ColumnInfo, ...]
    rows: RowIndex
    is_csv: bool
    updated: int = 0
    """Rows that were written into a table."""
    manifest: str = ""
    """The s3:// URL of the list of files that were written."""


@dataclass(slots=True, kw_only=True)
class Execution:
    """One query, from submission on. Times are seconds since 1970 UTC."""

    id: str
    query: str
    statement: Runnable
    database: str
    workgroup: str
    output: str
    """The s3:// URL of the result file."""
    submitted: float
    parameters: tuple[str, ...] = ()
    """What the call gave for `?`, as written."""
    state: State = State.QUEUED
    reason: str = ""
    started: float | None = None
    completed: float | None = None
    bytes_scanned: int = 0
    outcome: Outcome | None = None
    interrupt: Callable[[], None] | None = field(default=None, repr=False)
    """Stops the work at once; set as soon as there is something to stop."""
    work: Future[None] | None = field(default=None, repr=False)

    @property
    def type(self) -> StatementType:
        """DDL, DML or UTILITY."""
        return statement_type(self.statement)


class Runner(Protocol):
    """Carries out statements."""

    def run(self, execution: Execution) -> Outcome:
        """Blocks until it is done; sets `bytes_scanned` and `interrupt` on the way. Raises `HeadraceError`."""
        ...


class Executions:
    """Submits, remembers and stops. Every method returns at once."""

    def __init__(self, runner: Runner, clock: Clock) -> None:
        self._runner = runner
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="query")
        self._stoppers = ThreadPoolExecutor(THREADS, thread_name_prefix="stop")
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Execution] = OrderedDict()
        self._tokens: dict[str, str] = {}

    def submit(
        self, *, query: str, statement: Runnable, database: str, workgroup: str, folder: str,
        parameters: tuple[str, ...] = (), token: str | None = None,
    ) -> Execution:  # fmt: skip
        """Queue a statement; the same client `token` again is the same execution, not a second one."""
        with self._lock:
            if token is not None and token in self._tokens:
                return self._known[self._tokens[token]]
            execution_id = str(uuid4())
            execution = Execution(
                id=execution_id, query=query, statement=statement, database=database, workgroup=workgroup,
                output=f"{folder}{execution_id}{_ending(statement)}", parameters=parameters,
                submitted=self._clock.now(),
            )  # fmt: skip
            self._known[execution_id] = execution
            if token is not None:
                self._tokens[token] = execution_id
            self._forget_old()
            execution.work = self._threads.submit(self._run, execution)
        execution.work.add_done_callback(partial(self._done, execution))
        return execution

    def get(self, execution_id: str) -> Execution:
        """Raises `InvalidRequestError` for an id that is not known."""
        found = self._known.get(execution_id)
        if found is None:
            raise InvalidRequestError(f"QueryExecution {execution_id} was not found")
        return found

    def latest(self, workgroup: str) -> Sequence[str]:
        """Ids of a workgroup's executions, the latest first."""
        with self._lock:
            return [one.id for one in reversed(self._known.values()) if one.workgroup == workgroup]

    def stop(self, execution: Execution) -> None:
        """Cancel what is queued or running; anything else stays as it is."""
        with self._lock:
            if execution.state in FINAL:
                return
            self._end(execution, State.CANCELLED, "Query cancelled by user")
        self._stoppers.submit(_interrupt, execution)

    def close(self) -> None:
        """Cancel everything and wait for the threads."""
        for execution in list(self._known.values()):
            self.stop(execution)
        self._stoppers.shutdown()
        self._threads.shutdown()

    def _run(self, execution: Execution) -> None:
        with self._lock:
            if execution.state is not State.QUEUED:
                return
            execution.state, execution.started = State.RUNNING, self._clock.now()
        execution.outcome = self._runner.run(execution)

    def _done(self, execution: Execution, future: Future[None]) -> None:
        """Whatever ended the work ends the execution: a query never stays running for ever."""
        error = future.exception()
        if error is None:
            self._finish(execution, State.SUCCEEDED, "")
        elif isinstance(error, AthenaError):
            self._finish(execution, State.FAILED, str(error))
        else:
            get_logger().error("athena.defect", execution=execution.id, exc_info=error)
            self._finish(execution, State.FAILED, f"GENERIC_INTERNAL_ERROR: {type(error).__name__}: {error}")

    def _finish(self, execution: Execution, state: State, reason: str) -> None:
        with self._lock:
            if execution.state not in FINAL:
                self._end(execution, state, reason)
        if execution.started is not None:
            get_logger().info(
                "athena.query", execution=execution.id, state=execution.state, reason=execution.reason,
                seconds=round((execution.completed or 0) - execution.submitted, 3), bytes=execution.bytes_scanned,
            )  # fmt: skip

    def _end(self, execution: Execution, state: State, reason: str) -> None:
        execution.state, execution.reason, execution.completed = state, reason, self._clock.now()

    def _forget_old(self) -> None:
        while len(self._known) > KEPT:
            oldest = next(iter(self._known.values()))
            if oldest.state not in FINAL:
                return
            del self._known[oldest.id]
            self._tokens = {token: known for token, known in self._tokens.items() if known != oldest.id}


def _ending(statement: Runnable) -> str:
    if isinstance(statement, Write):
        return ""
    return ".csv" if isinstance(statement, Select) else ".txt"


def _interrupt(execution: Execution) -> None:
    """Until it is over: an interrupt that comes before the engine has started the query is lost."""
    while execution.work is not None and not execution.work.done():
        if execution.interrupt is not None:
            execution.interrupt()
        wait([execution.work], timeout=INTERRUPT_SECONDS)
