"""Rows of other versions."""

from headrace.leases.model import Intent, Lease, LeaseKey, Ledger
from headrace.leases.rows import from_row, to_row

LEASE = Lease(
    key=LeaseKey("account:stream:1:shard"),
    owner="me",
    checkpoint="7",
    batch_no=3,
    intent=Intent(batch_no=3, manifest="_intents/l/shard/0000000003-1.json", sha256="00"),
    ledger=Ledger(received=5, committed=4, duplicates=1),
    claim="you",
    leaving=True,
)


OLDER = {"manifest", "generation", "ledger", "claim", "leaving"}
"""Attributes that a row may be without."""


def test_a_row_comes_back_as_it_was() -> None:
    assert from_row(to_row(LEASE)) == LEASE


def test_what_a_newer_version_adds_is_passed_over() -> None:
    # While a deployment rolls, both versions list the rows of both.
    row = to_row(LEASE)
    newer = row | {
        "ledger": {**row["ledger"], "later": 1},
        "intent": {**row["intent"], "later": "x"},
        "later": {"a": 1},
    }
    assert from_row(newer) == LEASE


def test_what_an_older_version_left_out_has_its_default() -> None:
    row = {name: value for name, value in to_row(LEASE).items() if name not in OLDER}
    found = from_row(row)
    assert (found.manifest, found.generation, found.ledger) == ("", 0, Ledger())
    assert (found.claim, found.leaving) == (None, False)
