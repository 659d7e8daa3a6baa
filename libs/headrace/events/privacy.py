"""What is taken from a visitor before anything is stored: the last part of the address, and nothing that names them."""

import hashlib
import ipaddress
import re
import socket

IPV4_PREFIX = 24
IPV6_PREFIX = 48

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4 = rf"({_OCTET}\.{_OCTET}\.{_OCTET})\.{_OCTET}"
"""A plain IPv4 address; its group is the /24. Arrow's regular expressions read it too."""

_IPV4 = re.compile(IPV4)
_MAPPED = bytes(10) + b"\xff\xff"
"""What IPv4 mapped into IPv6 begins with."""
_IPV4_PORT = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}")


def truncate_ip(text: str) -> str | None:
    """The network's address: /24 for IPv4, /48 for IPv6; None for what is no address (nothing else may be kept).

    Takes what proxies write: a port behind an IPv4 address, brackets around an IPv6 address, IPv4 mapped into IPv6.
    """
    if match := _IPV4.fullmatch(text):
        return match[1] + ".0"
    if network := _plain_ipv6_network(text):
        return network
    text = text.strip().strip("[]")
    if match := _IPV4_PORT.fullmatch(text):
        text = match[1]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    prefix = IPV4_PREFIX if address.version == 4 else IPV6_PREFIX  # noqa: PLR2004 - IP version
    return str(ipaddress.ip_network(f"{address}/{prefix}", strict=False).network_address)


def _plain_ipv6_network(text: str) -> str | None:
    """What `ipaddress` would say, in a twentieth of the time; None for all that needs a closer look."""
    try:
        packed = socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        return None
    if packed.startswith(_MAPPED):
        return None
    kept = IPV6_PREFIX // 8
    return socket.inet_ntop(socket.AF_INET6, packed[:kept].ljust(16, b"\0"))


def anonymous_user(key: bytes, *parts: str | None) -> str:
    """`anon-` and 16 hex digits: a keyed hash (BLAKE2b) of what little is known, equal for equal parts."""
    text = "\x1f".join(part or "" for part in parts)
    return "anon-" + hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=key[:64], digest_size=8).hexdigest()
