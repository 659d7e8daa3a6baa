"""The engine in this process: DuckDB and Arrow."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
from pyarrow import fs

from headrace.clock import Clock, SystemClock
from headrace.errors import StopError
from headrace.settings import Settings
from jobs.medallion.duck.decode import Decoder
from jobs.medallion.duck.files import Files
from jobs.medallion.duck.gold import make_gold
from jobs.medallion.duck.reading import Reader
from jobs.medallion.duck.silver import SilverStep, Sizes
from jobs.medallion.model import GoldReport, Plan, SilverReport, Tables
from jobs.medallion.ports import CancelledRunError, OnRows

MEMORY = "1GB"
"""Of DuckDB. Arrow's chunks of rows, and the decoders' lines, come on top."""


class DuckEngine:
    """`jobs.medallion.ports.Engine` on one machine. One call at a time; `scratch` is its own while it works.

    What a step leaves in scratch spares the next one downloads, and may be removed between them.
    """

    def __init__(
        self, files: fs.FileSystem, bucket: str, scratch: Path, settings: Settings, *,
        memory_limit: str = MEMORY, threads: int = 2, clock: Clock | None = None, sizes: Sizes | None = None,
    ) -> None:  # fmt: skip
        self._files = Files(files, bucket, scratch)
        self._settings = settings
        self._memory_limit = memory_limit
        self._threads = threads
        self._clock = clock or SystemClock()
        self._sizes = sizes or Sizes()
        self._stopped = threading.Event()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def silver(self, plan: Plan, before: Tables, on_rows: OnRows) -> SilverReport:
        """Read what the plan says and make the days that change."""
        # Decoders have threads of ours. With DuckDB's own the lines of a file would come in any order, and while they
        # idle they would have freed memory given back to the system, for each new batch to ask for it again.
        with self._work(threads=1) as connection, self._database(threads=1) as decoding:
            reader = Reader(
                files=self._files,
                decode=Decoder(decoding, self._settings, seen_at=plan.started, lines_up_to=self._sizes.lines_up_to),
                on_rows=on_rows,
                check=self._check,
                seen_at=plan.started,
            )
            return SilverStep(
                connection, plan, before, self._files, reader,
                clock=self._clock, threads=self._threads, sizes=self._sizes,
            ).run()  # fmt: skip

    def gold(self, plan: Plan, silver: SilverReport, before: Tables, on_rows: OnRows) -> GoldReport:
        """Make all tables of gold from the days of `before` as changed by `silver`."""
        with self._work(threads=self._threads) as connection:
            return make_gold(connection, plan, silver, before, self._files, self._check, on_rows)

    def stop(self) -> None:
        """Have the call that is under way in another thread end soon, with `CancelledRunError`."""
        self._stopped.set()
        if (connection := self._connection) is not None:
            connection.interrupt()

    def _check(self) -> None:
        if self._stopped.is_set():
            raise CancelledRunError("the run was asked to stop")

    @contextlib.contextmanager
    def _work(self, *, threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
        """A database to work with, until it is done or told to stop."""
        self._check()
        try:
            with self._database(threads=threads) as connection:
                self._connection = connection
                yield connection
        except duckdb.InterruptException as error:
            raise CancelledRunError("the run was asked to stop") from error
        except (OSError, duckdb.OutOfMemoryException) as error:
            raise StopError(f"the scratch folder {self._files.scratch} or memory does not suffice: {error}") from error
        finally:
            self._connection = None

    def _database(self, *, threads: int) -> duckdb.DuckDBPyConnection:
        """In memory, spilling into scratch."""
        spill = self._files.scratch / "spill"
        spill.mkdir(parents=True, exist_ok=True)
        return duckdb.connect(
            config={"memory_limit": self._memory_limit, "threads": threads, "temp_directory": str(spill)}
        )
