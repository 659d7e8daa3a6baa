"""A short run of the simulator; `make simulate` is the long one."""

import pytest

from tests.simulation.build import PRODUCTION
from tests.simulation.cases import Case, run
from tests.simulation.faults import Fault, faults_of
from tests.simulation.hunting import hunt, pairs, rude, singles
from tests.simulation.machine import explore
from tests.simulation.manners import MANNERS, Manner
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.rules import HARM, Rule
from tests.simulation.scenarios import Scenario

SINGLES = 5
"""Of all single faults of a scenario, evenly spread."""


def test_the_same_seed_takes_the_same_way() -> None:
    first, second = (run(Case(seed=1), tracing=True) for _ in range(2))
    assert first.trace == second.trace
    assert first.injected


def test_without_a_fault_nothing_is_wrong_and_every_rule_is_looked_at() -> None:
    outcome = run(Case())
    assert outcome.violation is None
    assert set(outcome.checked) == set(Rule)


def test_single_faults_are_survived() -> None:
    for scenario in Scenario:
        cases = singles(scenario)
        for case in cases[:: len(cases) // SINGLES]:
            assert run(case).violation is None, case.reproduce


def test_pairs_of_faults_are_survived() -> None:
    for scenario in Scenario:
        for case in pairs(scenario, 2):
            assert run(case).violation is None, case.reproduce


def test_a_shard_that_is_gained_again_while_its_former_worker_clings_to_it_has_one_worker() -> None:
    outcome = run(Case(seed=127, manner=Manner.CLINGING))  # else the former one outlives SIGTERM
    assert outcome.violation is None, outcome.case.reproduce


@pytest.mark.parametrize("manner", list(Manner))
def test_a_hand_over_against_all_manners_costs_no_record(manner: Manner) -> None:
    for case in rude(manner, 1):
        assert run(case).violation is None, case.reproduce


@pytest.mark.parametrize("seed", range(10))
def test_a_seed_is_survived(seed: int) -> None:
    outcome = run(Case(seed=seed))
    assert outcome.violation is None, outcome.case.reproduce


def test_walks_of_the_state_machine_break_nothing() -> None:
    worlds, broken = explore(0, 8)
    assert broken is None, broken
    assert len(worlds) >= 8


def test_a_mutant_is_found_out_by_its_rule_and_by_the_harm_it_does() -> None:
    by_rule = hunt(Mutant.NO_INTENT, patience=1).killed
    assert by_rule is not None
    assert by_rule.violation is not None
    assert by_rule.violation.rule is Rule.NOTHING_WITHOUT_INTENT
    by_harm = hunt(Mutant.UNCONDITIONAL_COUNTERS, enforced=HARM, patience=30).killed
    assert by_harm is not None
    assert by_harm.violation is not None
    assert by_harm.violation.rule in HARM


def test_every_kind_of_fault_can_happen_to_some_call_of_the_scenario() -> None:
    calls = run(Case()).calls
    assert {fault for call in calls for fault in faults_of(call.name)} == set(Fault)


def test_what_is_printed_for_a_run_names_all_of_it() -> None:
    assert Case(seed=17).reproduce == 'make simulate ARGS="--seed 17"'
    case = Case(faults=((4, Fault.LATE), (9, Fault.CRASH)), mutant=Mutant.NO_INTENT)
    assert case.arguments == "--scenario steal --fault 4:late --fault 9:crash --mutant no_intent"
    assert Case(seed=3, manner=Manner.DEAF).arguments == "--seed 3 --manner deaf"


def test_every_mutant_and_every_manner_replaces_something() -> None:
    assert set(MUTANTS) == set(Mutant)
    assert set(MANNERS) == set(Manner)
    builds = [PRODUCTION, *MUTANTS.values(), *MANNERS.values()]
    assert len({repr(build) for build in builds}) == len(builds)
