"""One statement carried out: by the catalogue, the engine, the writer or the prepared statements, and its result."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from pyarrow import fs

from deploy.local.athena.catalog_statements import CatalogStatements
from deploy.local.athena.engine import Engine
from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.executions import Execution, Outcome
from deploy.local.athena.hive_types import ColumnInfo
from deploy.local.athena.prepared import PreparedStatements
from deploy.local.athena.results import RowIndex, csv_line, parse_csv, parse_lines, text_of
from deploy.local.athena.shows import Lines
from deploy.local.athena.statements import CreateTableAs, Deallocate, Insert, Prepare, Select, Unload, Write
from deploy.local.athena.writes import Job, Writes


class StatementRunner:
    """`Runner` on the catalogue, the engine and a file system of buckets."""

    def __init__(
        self, catalog: CatalogStatements, writes: Writes, prepared: PreparedStatements, engine: Engine,
        files: fs.FileSystem,
    ) -> None:  # fmt: skip
        self._catalog = catalog
        self._writes = writes
        self._prepared = prepared
        self._engine = engine
        self._files = files

    def run(self, execution: Execution) -> Outcome:
        """See `Runner`."""
        match execution.statement:
            case Select() as select:
                return self._select(execution, select)
            case CreateTableAs() | Insert() | Unload() as write:
                return self._write_rows(execution, write)
            case Prepare() | Deallocate() as prepared:
                self._prepared.run(prepared, execution.workgroup)
                result = Lines()
            case catalog:
                result = self._catalog.run(catalog, execution.database)
        lines = ((line + "\n").encode() for line in result.lines)
        return Outcome(columns=result.columns, rows=self._write(execution.output, lines), is_csv=False)

    def page(self, execution: Execution, first: int, count: int) -> list[list[str | None]]:
        """Rows of a result, from its file."""
        outcome = execution.outcome
        if outcome is None or first >= len(outcome.rows):
            return []
        start, size = outcome.rows.span(first, count)
        with self._files.open_input_file(_path(execution.output)) as file:
            data = file.read_at(size, start)
        return parse_csv(data, len(outcome.columns)) if outcome.is_csv else parse_lines(data)

    def _write_rows(self, execution: Execution, statement: Write) -> Outcome:
        folder = execution.output.removesuffix(execution.id)
        job = Job(
            database=execution.database, name=execution.id, results=folder, on_cursor=partial(_stop_with, execution)
        )
        done = self._writes.run(statement, job)
        execution.bytes_scanned = done.bytes_scanned
        return Outcome(
            columns=(ColumnInfo(name="rows", type="bigint", precision=19),),
            rows=RowIndex(),
            is_csv=True,
            updated=0 if isinstance(statement, Unload) else done.written.rows,
            manifest=done.manifest,
        )

    def _select(self, execution: Execution, statement: Select) -> Outcome:
        running = self._engine.start(statement.query, execution.database, partial(_stop_with, execution))

        def lines() -> Iterator[bytes]:
            yield csv_line(column.name for column in running.columns)
            for batch in running.batches():
                yield from (csv_line(map(text_of, row)) for row in batch)

        with running.cursor:
            rows = self._write(execution.output, lines())
            execution.bytes_scanned = running.bytes_scanned
        return Outcome(columns=running.columns, rows=rows, is_csv=True)

    def _write(self, url: str, lines: Iterable[bytes]) -> RowIndex:
        index = RowIndex()
        try:
            with self._files.open_output_stream(_path(url)) as file:
                for line in lines:
                    file.write(line)
                    index.add(line)
        except OSError as error:
            raise QueryFailedError(f"Unable to write the result to {url}: {error}") from error
        return index


def _stop_with(execution: Execution, interrupt: Callable[[], None]) -> None:
    execution.interrupt = interrupt


def _path(url: str) -> str:
    return url.removeprefix("s3://")
