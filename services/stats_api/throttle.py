"""How much one client may send: a token bucket each, and no more buckets than memory allows."""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from headrace.clock import Clock

MAX_CLIENTS = 10_000
"""Remembered at a time. Who is forgotten starts with a full bucket, as who has been silent for long."""

_HOME_BITS = 64
"""Of an IPv6 address: one household has all that follow."""


class Client(NamedTuple):
    """Who shares a bucket."""

    network: str
    key: str | None
    """The write key, where keys are asked for: a made-up one must not open a new bucket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What one client may send."""

    rate: float
    """Events per second; 0: no limit."""
    burst: int
    """Events at once, after a silence."""


class Bucket(NamedTuple):
    """What was left of an allowance at a moment. Below zero: the last request had more events than were left."""

    tokens: float
    at: float
    """Monotonic seconds."""


def refill(bucket: Bucket, allowance: Allowance, now: float) -> Bucket:
    """The bucket as it is now."""
    return Bucket(min(allowance.burst, bucket.tokens + (now - bucket.at) * allowance.rate), now)


class Throttle:
    """The buckets of all clients of this process; the longest unused one is forgotten first.

    A request is let through while there is something left, before its events are known. What it then has more is
    charged as a debt, so that every request passes at some time, however small the bucket.
    """

    def __init__(self, allowance: Allowance, clock: Clock, *, clients: int = MAX_CLIENTS) -> None:
        self._allowance = allowance
        self._clock = clock
        self._clients = clients
        self._buckets: OrderedDict[Client, Bucket] = OrderedDict()

    def admit(self, client: Client) -> float:
        """Let a request of one event through; else the seconds until one would be."""
        if not self._allowance.rate:
            return 0.0
        missing = 1.0 - self._bucket(client).tokens
        if missing > 0:
            return missing / self._allowance.rate
        self.charge(client, 1)
        return 0.0

    def charge(self, client: Client, events: int) -> None:
        """Take so many events from the client's allowance."""
        if not self._allowance.rate:
            return
        bucket = self._bucket(client)
        self._buckets[client] = bucket._replace(tokens=bucket.tokens - events)
        self._buckets.move_to_end(client)
        if len(self._buckets) > self._clients:
            self._buckets.popitem(last=False)

    def _bucket(self, client: Client) -> Bucket:
        now = self._clock.monotonic()
        return refill(self._buckets.get(client) or Bucket(self._allowance.burst, now), self._allowance, now)


def network_of(address: str | None) -> str:
    """The address, or of IPv6 the network of one household. What is no address shares one bucket: ``""``."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((int(parsed), _HOME_BITS), strict=False))
