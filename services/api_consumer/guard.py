"""Which servers the poller may talk to: public addresses over https, unless a setting says otherwise.

The address is judged where the socket is made, by the very address that is about to be connected to. What a name
resolved to a moment ago, in a cache or in another answer of the same server, has no say: rebinding gains nothing.
"""

import errno
import ipaddress
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver

MAX_HEADER_BYTES = 8 << 10
"""Of one header line."""
MAX_HEADERS = 100

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class PrivateAddressError(PermissionError):
    """The server's address is not public. The text is the same for every address, so that aiohttp does not merge it."""

    def __init__(self) -> None:
        super().__init__(
            errno.EACCES, "the server's address is private or local; HEADRACE_ALLOW_PRIVATE_UPSTREAM=1 allows it"
        )


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, also when it is wrapped in an IPv6 address."""
    try:
        found: _Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return all(
        part.is_global and not (part.is_multicast or part.is_reserved or getattr(part, "is_site_local", False))
        for part in _unwrapped(found)
    )


def _unwrapped(address: _Address) -> list[_Address]:
    """What a packet to this address may reach: an IPv4 address carried inside, or itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address.teredo is not None:
        return list(address.teredo)
    if address.sixtofour is not None:
        return [address.sixtofour]
    if address in _NAT64:
        return [ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)]
    return [address]


def url_problem(url: str, *, allow_private: bool, allow_http: bool) -> str | None:
    """What is wrong with an API's URL, or None. A name is judged when it is connected to."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return "must be an http:// or https:// URL"
    if parts.scheme == "http" and not (allow_http or allow_private):
        return "must be https:// (HEADRACE_ALLOW_HTTP_UPSTREAM=1 allows http://)"
    if not allow_private and _is_literal(parts.hostname) and not is_public(parts.hostname):
        return "its address is private or local (HEADRACE_ALLOW_PRIVATE_UPSTREAM=1 allows it)"
    return None


def open_http(
    allowed: Callable[[str], bool] = is_public, *, resolver: AbstractResolver | None = None
) -> aiohttp.ClientSession:
    """A session that connects to `allowed` addresses only, keeps no cookies, obeys no proxy and caps headers."""

    def make_socket(info: Any) -> socket.socket:
        family, kind, protocol, _, address = info
        if not allowed(address[0]):
            raise PrivateAddressError
        return socket.socket(family=family, type=kind, proto=protocol)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=resolver, socket_factory=make_socket, limit=4),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        max_headers=MAX_HEADERS,
    )


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
