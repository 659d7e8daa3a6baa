"""Which port each process of `headrace up` listens on, and who is told how to move one that is taken."""

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headrace.errors import ConfigError

AWS, ATHENA, SIMULATOR, STATS = "local cloud", "athena", "simulator", "stats_api"
API_CONSUMER, TRANSFORMER, PARTITIONER = "api_consumer", "transformer", "partitioner"

_BASE = "HEADRACE_METRICS_PORT_BASE"
_FURTHER_TRANSFORMER = 10


@dataclass(frozen=True, slots=True)
class _Place:
    variable: str
    default: int
    offset: int = 0
    """From the number in the variable to the port."""


PLACES = {
    AWS: _Place("HEADRACE_LOCAL_AWS_PORT", 4566),
    ATHENA: _Place("HEADRACE_LOCAL_ATHENA_PORT", 4567),
    SIMULATOR: _Place("HEADRACE_SIMULATOR_PORT", 8079),
    STATS: _Place("HEADRACE_STATS_PORT", 8080),
    API_CONSUMER: _Place(_BASE, 9101),
    TRANSFORMER: _Place(_BASE, 9101, 1),
    PARTITIONER: _Place(_BASE, 9101, 2),
}
"""Where each process listens, and the variable that moves it; 0 there asks for any free port."""


def transformer_names(count: int) -> list[str]:
    """The transformers' names: `transformer`, then `transformer-2` and so on."""
    return [TRANSFORMER, *(f"{TRANSFORMER}-{n}" for n in range(2, count + 1))]


def choose(names: Iterable[str], env: Mapping[str, str]) -> dict[str, int]:
    """A free port for each process. Raises `ConfigError` with every one that is wrong or taken."""
    problems: list[str] = []
    chosen: dict[str, int] = {}
    probes: list[socket.socket] = []
    try:
        for name in names:
            kind, _, number = name.partition("-")
            place = PLACES[kind]
            text = env.get(place.variable) or str(place.default)
            if not text.isdecimal() or int(text) > 0xFFFF:  # noqa: PLR2004 - 16 bits
                problems.append(f"{place.variable}: {text!r} is no port")
                continue
            further = _FURTHER_TRANSFORMER * (int(number) - 1) if number else 0
            port = int(text) and int(text) + place.offset + further
            probe = socket.socket()
            probes.append(probe)  # held until all are chosen, so that no free one is chosen twice
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except (OSError, OverflowError):
                problems.append(f"port {port} for {name} is taken: choose another with {place.variable} (0: any)")
                continue
            chosen[name] = int(probe.getsockname()[1])
    finally:
        for probe in probes:
            probe.close()
    if problems:
        raise ConfigError(problems)
    return chosen
