"""Whether a stream of nothing but dead letters is to be stopped before it is shovelled aside."""

from headrace.delivery.plan import BatchPlan
from headrace.errors import HaltedError


class Tripwire:
    """One shard's: so many dead letters in a row may pass, any number with 0."""

    def __init__(self, trip_after: int) -> None:
        self._trip_after = trip_after
        self._poison = 0
        """Dead letters since the last row."""

    def check(self, plan: BatchPlan) -> None:
        """Raise `HaltedError` for the batch that is one too many."""
        if plan.ledger.committed or not plan.ledger.dead_lettered:
            self._poison = 0
            return
        self._poison += plan.ledger.dead_lettered
        if self._trip_after and self._poison > self._trip_after:
            reason = max(plan.reasons, key=lambda name: plan.reasons[name])
            raise HaltedError(
                f"{self._poison} records in a row are dead letters, most for {reason}: mend their producer, "
                "or set HEADRACE_TRIP_AFTER=0 to let them pass"
            )
