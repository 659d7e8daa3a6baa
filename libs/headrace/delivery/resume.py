"""Where reading a shard goes on. Pure."""

from headrace.leases.model import AT_TIMESTAMP, LATEST, TRIM_HORIZON, WHOLE, Lease
from headrace.stream.ports import AfterSequence, AtSequence, AtTimestamp, Latest, Position, SequenceNumber, TrimHorizon


def start_position(lease: Lease, start_time: float | None = None) -> Position:
    """Where reading begins for a lease without unfinished business.

    `start_time` (seconds since 1970 UTC) is what AT_TIMESTAMP means; without it that is the oldest record, since
    nothing tells what is not wanted.

    LATEST is the moment of the first read, for each owner anew until the first batch is committed: who wants to miss
    nothing between two owners gives a time.

    We leave a record whole behind us. KCL may have stopped within one: then that one is read again, and what is done of
    it is passed over (`delivery.unpack`).
    """
    if lease.checkpoint == TRIM_HORIZON:
        return TrimHorizon()
    if lease.checkpoint == AT_TIMESTAMP:
        return TrimHorizon() if start_time is None else AtTimestamp(start_time)
    if lease.checkpoint == LATEST:
        return Latest()
    place = AfterSequence if lease.sub_sequence == WHOLE else AtSequence
    return place(SequenceNumber(lease.checkpoint))
