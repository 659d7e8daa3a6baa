import socket

import pytest

from cli import ports
from headrace.errors import ConfigError

ANYWHERE = {place.variable: "0" for place in ports.PLACES.values()}


def test_the_ports_are_those_of_the_contract_unless_moved() -> None:
    numbers = {name: (place.default + place.offset) for name, place in ports.PLACES.items()}
    assert numbers == {
        "local cloud": 4566,
        "athena": 4567,
        "simulator": 8079,
        "stats_api": 8080,
        "api_consumer": 9101,
        "transformer": 9102,
        "partitioner": 9103,
    }


def test_further_transformers_are_ten_ports_apart() -> None:
    base = 29101
    chosen = ports.choose(ports.transformer_names(3), {"HEADRACE_METRICS_PORT_BASE": str(base)})
    assert chosen == {"transformer": base + 1, "transformer-2": base + 11, "transformer-3": base + 21}


def test_zero_takes_free_ports_and_none_twice() -> None:
    names = [*ports.PLACES, "transformer-2"]
    chosen = ports.choose(names, ANYWHERE)
    assert list(chosen) == names
    assert len(set(chosen.values())) == len(names)
    assert all(port > 0 for port in chosen.values())


def test_every_taken_or_wrong_port_is_told_with_the_variable_that_moves_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        env = {**ANYWHERE, "HEADRACE_STATS_PORT": str(port), "HEADRACE_SIMULATOR_PORT": "eighty"}
        with pytest.raises(ConfigError) as caught:
            ports.choose(ports.PLACES, env)
    assert caught.value.problems == (
        "HEADRACE_SIMULATOR_PORT: 'eighty' is no port",
        f"port {port} for stats_api is taken: choose another with HEADRACE_STATS_PORT (0: any)",
    )
