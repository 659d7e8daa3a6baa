"""The table of bad input (`cases.yaml`), and what surrounds each case on every way in."""

import gzip
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

NOW = 1775736000.0
"""2026-04-09 12:00 UTC."""

GOOD = b'{"event_id":"%s","session_id":"n","user_id":"u","event_type":"page_view","timestamp":1775721600,"city":"Bonn"}'
BEFORE, BEHIND = GOOD % b"before", GOOD % b"behind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of the list, made bytes."""

    line: str
    name: str
    payload: bytes = field(repr=False)
    outcomes: dict[str, str]
    """Way in → outcome."""
    row: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.line}: {self.name}"


def _bytes(parts: Any) -> bytes:
    match parts:
        case str():
            return parts.encode("latin-1")
        case list():
            return b"".join(map(_bytes, parts))
        case {"repeat": text, "times": times}:
            return _bytes(text) * int(times)
        case {"gzip": inner}:
            return gzip.compress(_bytes(inner), mtime=0)
    raise ValueError(f"no payload: {parts!r}")


WAYS = ("page", "lines", "stream", "file", "collect")


def _case(told: dict[str, Any]) -> Case:
    outcome = told["outcome"]
    outcomes = outcome if isinstance(outcome, dict) else dict.fromkeys(WAYS, outcome)
    return Case(
        line=told["line"],
        name=told["name"],
        payload=_bytes(told["payload"]),
        outcomes={way: str(outcomes[way]) for way in WAYS},
        row=told.get("row", {}),
    )


CASES = [
    _case(told) for told in yaml.safe_load((Path(__file__).parent / "cases.yaml").read_text(encoding="utf-8"))["cases"]
]
