"""Breadth-first search over all that can happen, so that the first counterexample found is a shortest one.

A state is (durable world, crew of workers, requests on their way). Workers are told apart by what they know and by
nothing else, so a crew is sorted. Each third is kept once and numbered; a state is the three numbers in one integer.
What can happen to a third is worked out once and looked up afterwards, which is why millions of states take a minute.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from time import perf_counter

from tests.model.found import BITS, LOW, Counterexample, Numbered, Outcome
from tests.model.healing import HEALING, Healing
from tests.model.invariants import harm, rules
from tests.model.protocol import Protocol
from tests.model.state import IDLE, Durable, Kind, Move, Phase, Request, Session

NOT_SENT = 0
REPORT_EVERY = 1 << 15


class Explorer:
    """One search. With `only_harm`, broken rules are passed over until rows or counts are wrong for good."""

    def __init__(self, protocol: Protocol, *, only_harm: bool = False) -> None:
        self._protocol = protocol
        self._broken_rules = harm if only_harm else rules
        self._healing = Healing(protocol)
        self._durables: Numbered[Durable] = Numbered()
        self._crews: Numbered[tuple[Session, ...]] = Numbered()
        self._nets: Numbered[tuple[Request, ...]] = Numbered()
        self._late: Numbered[Request | None] = Numbered()
        self._late.number(None)  # NOT_SENT
        self._checked: dict[tuple[int, ...], str | None] = {}
        self._flawed = False
        self._moved: dict[int, tuple[tuple[int, int], ...]] = {}
        self._landed: dict[int, tuple[int, ...]] = {}
        self._nets_after: dict[int, int] = {}

    def run(self, limit: int, progress: Callable[[int], None] | None = None) -> Outcome:
        """Search until something breaks, nothing is left or `limit` states are known."""
        began = perf_counter()
        first = self._state(self._protocol.store.initial(), (IDLE,) * self._protocol.bounds.workers, ())
        seen = {first}
        order = [first]
        parents = array("l", [0])
        end_of_layer = 1
        transitions = depth = at = 0
        found = None
        while found is None and at < len(order) < limit:
            if at == end_of_layer:
                depth, end_of_layer = depth + 1, len(order)
            following = self._following(order[at])
            transitions += len(following)
            for state in following:
                if state not in seen:
                    seen.add(state)
                    order.append(state)
                    parents.append(at)
            if self._flawed:
                found = self._counterexample(at, order, parents)
            at += 1
            if progress is not None and not at % REPORT_EVERY:
                progress(len(order))
        return Outcome(
            states=len(order),
            transitions=transitions,
            depth=depth,
            complete=at == len(order),
            seconds=perf_counter() - began,
            worlds=len(self._durables.values),
            found=found,
        )

    def _following(self, state: int) -> list[int]:
        """All states that one step leads to, from the tables."""
        net, both = state & LOW, state >> BITS
        moves = self._moved.get(both)
        if moves is None:
            moves = self._moved[both] = self._moves(both)
        nets = self._nets_after
        following = []
        for pair, late in moves:
            key = (pair >> BITS << BITS | net) << BITS | late
            after = nets.get(key)
            if after is None:
                after = nets[key] = self._net_after(pair >> BITS, net, late)
            if after >= 0:
                following.append(pair << BITS | after)
        if net:
            key = both >> BITS << BITS | net
            lands = self._landed.get(key)
            if lands is None:
                lands = self._landed[key] = self._landings(both >> BITS, net)
            crew = (both & LOW) << BITS
            following.extend([land | crew for land in lands])
        return following

    def phases(self) -> frozenset[Phase]:
        """Every place at which a worker was seen."""
        return frozenset(session.phase for crew in self._crews.values for session in crew)

    def late_kinds(self) -> frozenset[Kind]:
        """Every kind of request that was seen on its way after its sender had given it up."""
        return frozenset(request.kind for net in self._nets.values for request in net)

    def _state(self, durable: Durable, crew: Sequence[Session], net: Sequence[Request]) -> int:
        return self._pair(durable, crew) << BITS | self._nets.number(tuple(sorted(net)))

    def _pair(self, durable: Durable, crew: Sequence[Session]) -> int:
        return self._durables.number(durable) << BITS | self._crews.number(tuple(sorted(crew)))

    def _steps(self, both: int) -> Iterator[tuple[Move, tuple[Session, ...]]]:
        """What workers and erasure can do, with the crew after it."""
        durable, crew = self._durables.values[both >> BITS], self._crews.values[both & LOW]
        for at, session in enumerate(crew):
            if at and session == crew[at - 1]:
                continue  # its twin did all this
            others = crew[:at] + crew[at + 1 :]
            for move in self._protocol.moves(durable, session):
                yield move, (*others, move.session)
        for move in self._protocol.erasures(durable):
            yield move, crew

    def _moves(self, both: int) -> tuple[tuple[int, int], ...]:
        """World and crew after each step, and the request left behind; without the steps that change nothing."""
        self._check(both)
        found: dict[tuple[int, int], None] = {}
        for move, crew in self._steps(both):
            pair = self._pair(move.durable, crew)
            self._check(pair)
            if pair != both or move.late is not None:
                found[pair, self._late.number(move.late)] = None
        return tuple(found)

    def _net_after(self, durable: int, net: int, late: int) -> int:
        """What is on its way after a step; -1 when that is more than the bounds allow."""
        world = self._durables.values[durable]
        requests = list(self._nets.values[net])
        if late != NOT_SENT:
            sent = self._late.values[late]
            assert sent is not None
            requests.append(sent)
        requests = sorted({request for request in requests if not self._protocol.store.spent(world, request)})
        if len(requests) > self._protocol.bounds.in_flight:
            return -1
        return self._nets.number(tuple(requests))

    def _landings(self, durable: int, net: int) -> tuple[int, ...]:
        """World and network after one of the requests lands; one that changes nothing need not land."""
        found = []
        world = self._durables.values[durable]
        for _, after, rest in self._arrivals(world, self._nets.values[net]):
            number = self._durables.number(after)
            self._check(number << BITS)
            found.append(number << 2 * BITS | self._net_after(number, self._nets.number(rest), NOT_SENT))
        return tuple(found)

    def _arrivals(
        self, world: Durable, net: tuple[Request, ...]
    ) -> Iterator[tuple[Request, Durable, tuple[Request, ...]]]:
        for at, request in enumerate(net):
            after, held = self._protocol.store.land(world, request)
            if held and after != world:
                yield request, after, net[:at] + net[at + 1 :]

    def _check(self, both: int) -> str | None:
        """What is wrong with a world, or with a crew in it; worked out once."""
        key = (both,)
        if key not in self._checked:
            durable = self._durables.values[both >> BITS]
            world = (both >> BITS, -1)
            if world not in self._checked:
                self._checked[world] = self._verdict(durable)
            wrong = self._checked[world]
            for session in self._crews.values[both & LOW]:
                if wrong is None and session.epoch == durable.epoch and session != IDLE:
                    wrong = self._healing.left_in_peace(durable, session)
            self._checked[key] = wrong
            self._flawed = self._flawed or wrong is not None
        return self._checked[key]

    def _verdict(self, durable: Durable) -> str | None:
        for broken in self._broken_rules(self._protocol, durable):
            return broken
        return self._healing.from_the_start(durable)

    # The way to a broken rule, in words.

    def _successors(self, state: int) -> Iterator[tuple[str, int, str | None]]:
        """Step, state after it and what is wrong there; for the few states of a trace."""
        both, net = state >> BITS, state & LOW
        for move, crew in self._steps(both):
            pair = self._pair(move.durable, crew)
            after = self._net_after(pair >> BITS, net, self._late.number(move.late))
            if after >= 0:
                yield move.words, pair << BITS | after, self._check(pair)
        for request, durable, rest in self._arrivals(self._durables.values[both >> BITS], self._nets.values[net]):
            number = self._durables.number(durable)
            after = self._net_after(number, self._nets.number(rest), NOT_SENT)
            pair = number << BITS | both & LOW
            words = (
                f"the late {request.kind.name.lower()} of epoch {request.epoch}, batch {request.intent.batch}, lands"
            )
            yield words, pair << BITS | after, self._check(pair)

    def _counterexample(self, at: int, order: Sequence[int], parents: Sequence[int]) -> Counterexample:
        """The path to the state numbered `at`, and the step from it (or none, if it is flawed itself)."""
        path = [at]
        while path[-1]:
            path.append(parents[path[-1]])
        states = [order[each] for each in reversed(path)]
        steps = []
        for before, after in pairwise(states):
            steps.append(next(words for words, state, _ in self._successors(before) if state == after))
        last = states[-1]
        wrong = self._check(last >> BITS)
        if wrong is None:
            words, last, wrong = next(each for each in self._successors(last) if each[2] is not None)
            steps.append(words)
        durable, crew = self._durables.values[last >> 2 * BITS], self._crews.values[last >> BITS & LOW]
        healing = self._healing.story(durable, crew) if wrong and wrong.startswith(HEALING) else []
        assert wrong is not None
        return Counterexample(rule=wrong, steps=tuple(steps), healing=tuple(healing))
