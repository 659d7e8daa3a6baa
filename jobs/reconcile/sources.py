"""The way in: polled = accepted + rejected, accepted = put + spooled, by source and hour."""

from headrace.state.ports import StateStore
from headrace.state.sources import PREFIX, Totals, hours_of, totals_of
from jobs.reconcile.audit import Audit, Check
from jobs.reconcile.shard import Hours, hour_text


async def check_sources(state: StateStore, hours: Hours, audit: Audit) -> None:
    """The totals of every source since its first page, and its hours among those looked at."""
    for key, document in (await state.list(PREFIX)).items():
        _balance(key, totals_of(document.value), audit)
        for hour, totals in sorted(hours_of(document.value).items()):
            if hour in hours:
                _balance(f"{key} {hour_text(hour)}", totals, audit)


def _balance(where: str, totals: Totals, audit: Audit) -> None:
    audit.compare(
        Check.SOURCE,
        where,
        expected={"polled": totals.accepted + totals.rejected, "accepted": totals.put + totals.spooled},
        found={"polled": totals.polled, "accepted": totals.accepted},
    )
