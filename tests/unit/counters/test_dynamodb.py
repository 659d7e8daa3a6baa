"""What the writer makes of DynamoDB's answers. A fake client plays them; real ones are in tests/contract."""

from collections.abc import Iterable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from headrace.counters.dynamodb import DynamoCounterWriter
from headrace.counters.ports import CountKey, Counts, Entity
from headrace.errors import RequestError, StopError, UnavailableError

NOW = 1_775_738_130.0
OLD = 0
"""A minute of which only the total of all time is kept."""


class Transactions:
    """Answers each transaction with the next list of reasons; an empty list is success."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked: list[list[str]] = []

    async def transact_write_items(self, TransactItems: Iterable[dict[str, Any]]) -> None:  # noqa: N803 - DynamoDB's own name
        self.asked.append([item["Update"]["Key"]["pk"]["S"].rsplit("#", 1)[1] for item in TransactItems])
        if codes := self._answers.pop(0):
            raise ClientError(
                {
                    "Error": {"Code": "TransactionCanceledException", "Message": ", ".join(codes)},
                    "CancellationReasons": [{"Code": code} for code in codes],
                },
                "TransactWriteItems",
            )


def pages(names: str) -> dict[CountKey, Counts]:
    return {CountKey(Entity.PAGE, name, OLD): Counts(views=1) for name in names}


async def test_what_is_already_applied_is_left_out_and_the_rest_written() -> None:
    client = Transactions(["None", "ConditionalCheckFailed", "None"], [])
    await DynamoCounterWriter(client, "table").apply("o", 1, pages("abc"), now=NOW, ledger={})
    assert client.asked == [["a", "b", "c"], ["a", "c"]]


async def test_a_batch_that_is_wholly_applied_costs_one_call() -> None:
    client = Transactions(["ConditionalCheckFailed"] * 3)
    await DynamoCounterWriter(client, "table").apply("o", 1, pages("abc"), now=NOW, ledger={})
    assert client.asked == [["a", "b", "c"]]


@pytest.mark.parametrize("code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
async def test_a_passing_fault_is_tried_again_with_everything(code: str) -> None:
    client = Transactions(["ConditionalCheckFailed", code], ["ConditionalCheckFailed", "None"], [])
    await DynamoCounterWriter(client, "table").apply("o", 1, pages("ab"), now=NOW, ledger={})
    assert client.asked == [["a", "b"], ["a", "b"], ["b"]]


async def test_a_refused_request_stops() -> None:
    client = Transactions(["ValidationError", "None"])
    with pytest.raises(StopError) as caught:
        await DynamoCounterWriter(client, "table").apply("o", 1, pages("ab"), now=NOW, ledger={})
    assert isinstance(caught.value, RequestError)


async def test_a_cancellation_without_a_reason_never_counts_as_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.aws.retry.INITIAL_SECONDS", 0.0)
    monkeypatch.setattr("headrace.aws.retry.MAX_SECONDS", 0.0)
    client = Transactions(*[["None", "None"]] * 6)
    with pytest.raises(UnavailableError):
        await DynamoCounterWriter(client, "table").apply("o", 1, pages("ab"), now=NOW, ledger={})
    assert len(client.asked) == 6


async def test_thousands_of_items_travel_by_the_hundred() -> None:
    client = Transactions(*[[]] * 25)
    many = {CountKey(Entity.PAGE, f"{n:05}", OLD): Counts(views=1) for n in range(2_450)}
    await DynamoCounterWriter(client, "table").apply("o", 1, many, now=NOW, ledger={})
    assert sorted(map(len, client.asked)) == [50] + [100] * 24
    assert {name for names in client.asked for name in names} == {key.entity_id for key in many}
