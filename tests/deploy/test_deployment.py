"""The template in the local cloud: deployed, used and deleted."""

import pytest

from tests.deploy.run import EMPTY_HOUR, Run
from tests.deploy.stack import Stack


def test_what_a_visitor_sends_is_counted_for_who_has_a_key(run: Run) -> None:
    assert run.counted == 2
    assert run.turned_away == 401


def test_what_a_visitor_sends_is_in_athena(run: Run) -> None:
    assert run.rows == {"events": 2, "silver_events": 2, "all_events": 2}


def test_every_job_ends_well(run: Run) -> None:
    assert {name: status for name, (status, _) in run.jobs.items() if status} == {}, run.jobs


def test_all_that_was_read_has_landed(run: Run) -> None:
    for name in ("reconcile", "reconcile, again"):
        assert "comparisons: all agrees" in run.jobs[name][1]


def test_hours_are_registered_and_those_without_objects_are_not(run: Run) -> None:
    assert run.partitions
    assert EMPTY_HOUR not in run.partitions
    assert run.forgotten in run.partitions


def test_two_stacks_fit_into_one_account_and_deleting_one_leaves_nothing_of_it(
    stack: Stack, parameters: dict[str, str]
) -> None:
    other = Stack(name="other", cloud=stack.cloud, cli=stack.cli)
    before = other.inventory()
    other.deploy(**parameters, Prefix="other")
    with_both = other.inventory()
    assert with_both > before
    assert {kind for kind, _ in with_both - before} == set(other.kinds())
    other.client("s3").put_object(Bucket=other.outputs()["BucketName"], Key="events/a", Body=b"a")
    other.delete()
    assert other.inventory() == before
    assert stack.resources()


@pytest.mark.usefixtures("run")
def test_deploying_again_changes_nothing(stack: Stack, parameters: dict[str, str]) -> None:
    before = stack.resources()
    stack.deploy(**parameters)
    assert stack.resources() == before
