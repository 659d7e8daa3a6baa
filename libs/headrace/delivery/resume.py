"""Where reading a shard goes on. Pure."""

from headrace.leases.model import LATEST, TRIM_HORIZON, WHOLE, Lease
from headrace.stream.ports import AfterSequence, AtSequence, Latest, Position, SequenceNumber, TrimHorizon


def start_position(lease: Lease) -> Position:
    """Where reading begins for a lease without unfinished business.

    We leave a record whole behind us. KCL may have stopped within one: then that one is read again, and what is done of
    it is passed over (`delivery.unpack`).
    """
    if lease.checkpoint == TRIM_HORIZON:
        return TrimHorizon()
    if lease.checkpoint == LATEST:
        return Latest()
    place = AfterSequence if lease.sub_sequence == WHOLE else AtSequence
    return place(SequenceNumber(lease.checkpoint))
