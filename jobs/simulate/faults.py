"""What can go wrong with traffic, on request: broken events and a broken API. Seeded, like all the rest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any, Self, TypeVar

import msgspec

from jobs.simulate.catalogue import Weighted
from jobs.simulate.shoppers import BLOCK_MS, Block, Item


class RecordFault(StrEnum):
    """What happens to one event. At most one of these does."""

    MALFORMED = "malformed"
    """Cut off in the middle."""
    MISSING = "missing"
    """A required field is not there."""
    WRONG_TYPE = "wrong_type"
    """A field holds another type than the schema's."""
    BAD_TIME = "bad_time"
    """The timestamp is none."""
    EXTRA = "extra"
    """A key that the schema does not name."""
    DUPLICATE = "duplicate"
    """Handed out twice within one block, with one event_id."""
    LATE = "late"
    """Handed out 10 minutes to 26 hours after it happened."""
    FUTURE = "future"
    """Its timestamp is 2 to 48 hours ahead."""


class HttpFault(StrEnum):
    """What happens to one request for events."""

    TOO_MANY = "http429"
    """429 with Retry-After."""
    UNAVAILABLE = "http503"
    """503 with Retry-After."""
    SLOW = "slow"
    """The right answer, seconds late."""
    CLOSE = "close"
    """The connection ends in the middle of the answer."""


F = TypeVar("F", RecordFault, HttpFault)
Fault = RecordFault | HttpFault

SOME: Mapping[Fault, float] = {
    RecordFault.MALFORMED: 0.005,
    RecordFault.MISSING: 0.005,
    RecordFault.WRONG_TYPE: 0.005,
    RecordFault.BAD_TIME: 0.005,
    RecordFault.EXTRA: 0.01,
    RecordFault.DUPLICATE: 0.01,
    RecordFault.LATE: 0.01,
    RecordFault.FUTURE: 0.002,
    HttpFault.TOO_MANY: 0.02,
    HttpFault.UNAVAILABLE: 0.02,
    HttpFault.SLOW: 0.02,
    HttpFault.CLOSE: 0.01,
}
"""The profile called `some`."""

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultProfile:
    """How often each fault happens, as a share of events or of requests."""

    shares: Mapping[Fault, float] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """`none`, `some` or `malformed=0.01,http503=0.05`. Raises `ValueError` saying what is wrong."""
        if text in {"", "none"}:
            return cls()
        if text == "some":
            return cls(shares=SOME)
        profile = cls(shares=dict(_parse_share(part) for part in text.split(",")))
        for kinds in (RecordFault, HttpFault):
            if sum(share for fault, share in profile.shares.items() if isinstance(fault, kinds)) > 1 + _ROUNDING:
                raise ValueError(f"the shares of {', '.join(kinds)} add up to more than 1")
        return profile

    def of_records(self) -> Weighted[RecordFault | None]:
        """What to do to an event; None leaves it as it is."""
        return Weighted(_choices(self.shares, RecordFault))

    def of_requests(self) -> Weighted[HttpFault | None]:
        """What to do to a request; None leaves it as it is."""
        return Weighted(_choices(self.shares, HttpFault))


def _choices(shares: Mapping[Fault, float], kind: type[F]) -> list[tuple[F | None, float]]:
    choices: list[tuple[F | None, float]] = []
    choices += [(fault, share) for fault, share in shares.items() if isinstance(fault, kind)]
    choices.append((None, max(0.0, 1.0 - sum(share for _, share in choices))))
    return choices


def _parse_share(part: str) -> tuple[Fault, float]:
    name, _, text = part.strip().partition("=")
    known: dict[str, Fault] = {fault.value: fault for fault in (*RecordFault, *HttpFault)}
    if name not in known:
        raise ValueError(f"unknown fault {name!r}; known are {', '.join(known)}")
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"{name} wants a share from 0 to 1, such as {name}=0.01")
    return known[name], share


class RecordFaults:
    """Breaks some of the events of a block."""

    def __init__(self, profile: FaultProfile, seed: int) -> None:
        self._draw = profile.of_records()
        self._active = any(isinstance(fault, RecordFault) for fault in profile.shares)
        self._seed = seed

    def apply(self, number: int, block: Block) -> Block:
        """Block `number` with its faults: the same ones whenever it is asked for. Still in time order."""
        if not self._active:
            return block
        rng = Random(f"{self._seed}/faults/{number}")
        end_ms = (number + 1) * BLOCK_MS
        items: list[Item] = []
        for item in block:
            fault = self._draw.draw(rng)
            if fault is None:
                items.append(item)
            elif fault is RecordFault.MALFORMED:
                items.append(item._replace(data=item.data[: rng.randrange(1, len(item.data))], is_json=False))
            elif fault is RecordFault.DUPLICATE:
                items += [item, item._replace(at_ms=rng.randrange(item.at_ms, end_ms))]
            else:
                event: dict[str, Any] = msgspec.json.decode(item.data)
                _BREAK[fault](event, rng)
                items.append(item._replace(data=msgspec.json.encode(event)))
        return sorted(items, key=lambda item: item.at_ms)


def _drop_required(event: dict[str, Any], rng: Random) -> None:
    del event[rng.choice(("session_id", "event_type", "timestamp"))]


def _change_type(event: dict[str, Any], rng: Random) -> None:
    event.update(
        rng.choice(
            (
                {"event_type": 7},
                {"session_id": ["one", "two"]},
                {"product_id": {"id": 1001}},
                {"quantity": "two"},
                {"price": {"amount": 12.5}},
                {"is_bot": "maybe"},
            )
        )
    )


def _spoil_time(event: dict[str, Any], rng: Random) -> None:
    event["timestamp"] = rng.choice(("yesterday", "2026-13-45T25:61:00Z", "", None, True))


def _add_columns(event: dict[str, Any], rng: Random) -> None:
    event["experiment"] = rng.choice(("blue-button", "long-form"))
    event["scroll_depth"] = rng.randrange(101)


def _delay(event: dict[str, Any], rng: Random) -> None:
    event["timestamp"] -= rng.randrange(600_000, 26 * 3_600_000)


def _hasten(event: dict[str, Any], rng: Random) -> None:
    event["timestamp"] += rng.randrange(2 * 3_600_000, 48 * 3_600_000)


_BREAK: Mapping[RecordFault, Callable[[dict[str, Any], Random], None]] = {
    RecordFault.MISSING: _drop_required,
    RecordFault.WRONG_TYPE: _change_type,
    RecordFault.BAD_TIME: _spoil_time,
    RecordFault.EXTRA: _add_columns,
    RecordFault.LATE: _delay,
    RecordFault.FUTURE: _hasten,
}
