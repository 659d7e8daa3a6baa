"""The protocol as a model: every state within small bounds, and each rule missed when it is taken out."""

import pytest

from tests.model.explore import Explorer
from tests.model.found import Outcome
from tests.model.protocol import Protocol
from tests.model.state import MEANING, Bounds, Kind, Mutant, Phase, Spare

SMALL = Bounds(records=3, takes=2)
SMALLEST = Bounds(records=2, takes=2)
LIMIT = 200_000


def explored(broken: Mutant | Spare | None, *, bounds: Bounds = SMALL, only_harm: bool = False) -> Outcome:
    return Explorer(Protocol(bounds, broken), only_harm=only_harm).run(LIMIT)


@pytest.mark.parametrize(
    "bounds",
    [SMALL, Bounds(records=2, takes=3), Bounds(records=2, takes=2, in_flight=2)],
    ids=["three-records", "three-owners", "two-late-requests"],
)
def test_no_state_within_the_bounds_breaks_a_rule_and_each_can_be_healed(bounds: Bounds) -> None:
    outcome = explored(None, bounds=bounds)

    assert outcome.found is None
    assert outcome.complete


def test_the_search_goes_everywhere_and_every_request_comes_late_once() -> None:
    explorer = Explorer(Protocol(SMALLEST))

    explorer.run(LIMIT)

    assert explorer.phases() == set(Phase) - {Phase.MANIFEST, Phase.STOPPED}  # a mutant's, and one of despair
    assert explorer.late_kinds() == set(Kind)


@pytest.mark.parametrize("mutant", list(Mutant))
def test_a_rule_that_is_taken_out_is_missed_after_a_few_steps(mutant: Mutant) -> None:
    outcome = explored(mutant)

    assert outcome.found is not None, MEANING[mutant]
    assert 1 <= len(outcome.found) <= 15


@pytest.mark.parametrize("mutant", list(Mutant))
def test_a_rule_that_is_taken_out_ends_in_wrong_rows_wrong_counts_or_a_shard_that_stands_still(mutant: Mutant) -> None:
    outcome = explored(mutant, only_harm=True)

    assert outcome.found is not None, MEANING[mutant]
    assert any(word in outcome.found.rule for word in ("I4", "I5", "healing"))


@pytest.mark.parametrize("spare", list(Spare))
def test_safety_needs_neither_the_lease_nor_if_none_match(spare: Spare) -> None:
    outcome = explored(spare, bounds=SMALLEST)

    assert outcome.found is None
    assert outcome.complete


def test_a_counterexample_is_a_shortest_way_told_step_by_step() -> None:
    found = explored(Mutant.UNCONDITIONAL_COUNTERS).found

    assert found is not None
    assert found.rule == "healing: I5: record 0 is counted twice"
    assert found.steps == (
        "a worker takes the lease (epoch 1)",
        "epoch 1 stages batch 0 (record 0)",
        "epoch 1 writes the intent of batch 0 (record 0)",
        "epoch 1 completes object 0 of batch 0 (record 0)",
        "epoch 1 counts part 0 of batch 0",
    )
    assert found.healing == (
        "a worker takes the lease (epoch 2)",
        "epoch 2 completes object 0 of batch 0 (record 0): refused",
        "epoch 2 finds object 0 of batch 0 in place",
        "epoch 2 counts part 0 of batch 0",
    )


def test_a_search_that_hits_its_limit_says_that_it_is_not_complete() -> None:
    outcome = Explorer(Protocol(SMALL)).run(1_000)

    assert outcome.found is None
    assert not outcome.complete
    assert 1_000 <= outcome.states < 1_100
