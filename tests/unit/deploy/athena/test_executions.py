"""The life of a query, without an engine."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from deploy.local.athena.errors import InvalidRequestError, QueryFailedError
from deploy.local.athena.executions import FINAL, Execution, Executions, Outcome, State
from deploy.local.athena.results import RowIndex
from deploy.local.athena.statements import Select
from headrace.clock import ManualClock

DONE = Outcome(columns=(), rows=RowIndex(), is_csv=True)


class Script:
    """A runner that does what a test says."""

    def __init__(self) -> None:
        self.act: Callable[[Execution], Outcome] = lambda _execution: DONE

    def run(self, execution: Execution) -> Outcome:
        return self.act(execution)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def executions(script: Script) -> Iterator[Executions]:
    made = Executions(script, ManualClock())
    yield made
    made.close()


def submit(executions: Executions, token: str | None = None) -> Execution:
    return executions.submit(
        query="SELECT 1",
        statement=Select(query="SELECT 1"),
        database="d",
        workgroup="w",
        folder="s3://b/o/",
        token=token,
    )


def finish(execution: Execution) -> Execution:
    assert execution.work is not None
    deadline = time.monotonic() + 10
    while not (execution.work.done() and execution.state in FINAL):
        assert time.monotonic() < deadline, execution
        time.sleep(0.001)
    return execution


def test_a_query_that_works_succeeds_with_its_outcome(executions: Executions) -> None:
    execution = finish(submit(executions))
    assert (execution.state, execution.outcome) == (State.SUCCEEDED, DONE)
    assert execution.output == f"s3://b/o/{execution.id}.csv"


def test_a_query_that_fails_keeps_the_reason(executions: Executions, script: Script) -> None:
    def fail(_execution: Execution) -> Outcome:
        raise QueryFailedError("TABLE_NOT_FOUND: line 1:1: …")

    script.act = fail
    execution = finish(submit(executions))
    assert (execution.state, execution.reason) == (State.FAILED, "TABLE_NOT_FOUND: line 1:1: …")


def test_a_defect_ends_the_query_too(executions: Executions, script: Script) -> None:
    def break_down(_execution: Execution) -> Outcome:
        raise KeyError("oops")

    script.act = break_down
    execution = finish(submit(executions))
    assert execution.state is State.FAILED
    assert execution.reason.startswith("GENERIC_INTERNAL_ERROR: KeyError")


def test_stopping_interrupts_even_when_the_work_can_only_be_stopped_later(
    executions: Executions, script: Script
) -> None:
    running, may_register, interrupted = threading.Event(), threading.Event(), threading.Event()

    def slow(execution: Execution) -> Outcome:
        running.set()
        assert may_register.wait(10)
        execution.interrupt = interrupted.set
        assert interrupted.wait(10)
        raise QueryFailedError("interrupted")

    script.act = slow
    execution = submit(executions)
    assert running.wait(10)
    executions.stop(execution)
    assert execution.state is State.CANCELLED
    may_register.set()
    assert interrupted.wait(10)
    assert finish(execution).state is State.CANCELLED


def test_the_same_client_token_is_the_same_execution(executions: Executions) -> None:
    assert submit(executions, "token").id == submit(executions, "token").id
    assert submit(executions, "other").id != submit(executions, "token").id


def test_stopping_what_is_over_changes_nothing(executions: Executions) -> None:
    execution = submit(executions)
    finish(execution)
    executions.stop(execution)
    assert execution.state is State.SUCCEEDED


def test_executions_are_listed_by_workgroup_the_latest_first(executions: Executions) -> None:
    first, second = submit(executions), submit(executions)
    assert list(executions.latest("w")) == [second.id, first.id]
    assert list(executions.latest("primary")) == []


def test_an_unknown_id_is_refused(executions: Executions) -> None:
    with pytest.raises(InvalidRequestError, match="was not found"):
        executions.get("unknown")
