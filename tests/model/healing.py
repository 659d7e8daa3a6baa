"""What the faults leave behind must be finished by any one worker that is left in peace."""

from collections.abc import Iterator, Sequence

from tests.model.invariants import harm, shortfall
from tests.model.protocol import Protocol
from tests.model.state import Durable, Move, Phase, Session

HEALING = "healing"


class Healing:
    """Runs worlds to their end without a fault. Each place on the way is worked out once."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._verdicts: dict[tuple[Durable, Session], str | None] = {}

    def from_the_start(self, durable: Durable) -> str | None:
        """All workers are gone and a new one takes the lease: what is wrong in the end, None when all is delivered."""
        taken = self._protocol.take(durable)
        return self.left_in_peace(taken.durable, taken.session)

    def left_in_peace(self, durable: Durable, session: Session) -> str | None:
        """The lease's owner goes on from where it stands."""
        path = []
        verdict = None
        for here in self._way(durable, session):
            if here in self._verdicts:
                verdict = self._verdicts[here]
                break
            path.append(here)
        else:
            verdict = self._verdict(*path[-1])
        for passed in path:
            self._verdicts[passed] = verdict
        return verdict

    def story(self, durable: Durable, crew: Sequence[Session]) -> list[str]:
        """The steps to a wrong end, up to where it shows; empty when the end is right."""
        if self.from_the_start(durable) is not None:
            taken = self._protocol.take(durable)
            return [taken.words, *self._told(taken.durable, taken.session)]
        for session in crew:
            if session.epoch == durable.epoch and self.left_in_peace(durable, session) is not None:
                return self._told(durable, session)
        return []

    def _told(self, durable: Durable, session: Session) -> list[str]:
        words = []
        for here in self._way(durable, session):
            if any(harm(self._protocol, here[0])):
                break
            following = self._next(*here)
            if following is not None:
                words.append(following.words)
        return words

    def _way(self, durable: Durable, session: Session) -> Iterator[tuple[Durable, Session]]:
        """Each place until nothing is left to do, or the first that comes again."""
        passed = set()
        here = (durable, session)
        while here not in passed:
            yield here
            passed.add(here)
            following = self._next(*here)
            if following is None:
                return
            here = (following.durable, following.session)

    def _next(self, durable: Durable, session: Session) -> Move | None:
        moves = self._protocol.moves(durable, session)
        return moves[0] if len(moves) > 1 else None  # the last is giving up

    def _verdict(self, durable: Durable, session: Session) -> str | None:
        if session.phase is Phase.STOPPED:
            return f"{HEALING}: the shard stands still and waits for a person"
        broken = shortfall(self._protocol, durable)
        return None if broken is None else f"{HEALING}: {broken}"
