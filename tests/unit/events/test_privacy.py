"""What may be kept of an address."""

import ipaddress

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from headrace.events.columns import networks
from headrace.events.privacy import anonymous_user, truncate_ip

ADDRESSES = st.one_of(st.ip_addresses().map(str), st.text(max_size=20), st.none())


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_loses_its_last_byte(address: ipaddress.IPv4Address) -> None:
    assert truncate_ip(str(address)) == str(address).rsplit(".", 1)[0] + ".0"


@given(st.ip_addresses(v=6))
def test_an_ipv6_address_keeps_48_bits(address: ipaddress.IPv6Address) -> None:
    kept = truncate_ip(str(address))
    assert kept is not None
    if address.ipv4_mapped is None:
        assert kept == str(ipaddress.IPv6Address(int(address) >> 80 << 80))


@given(st.lists(ADDRESSES))
def test_a_column_of_addresses_is_the_addresses_one_by_one(addresses: list[str | None]) -> None:
    column = networks(pa.array(addresses, pa.string()))
    assert column.to_pylist() == [None if address is None else truncate_ip(address) for address in addresses]


def test_what_proxies_write_is_understood() -> None:
    assert truncate_ip("203.0.113.9:44321") == "203.0.113.0"
    assert truncate_ip("[2001:db8::1]") == "2001:db8::"
    assert truncate_ip("::ffff:203.0.113.9") == "203.0.113.0"
    assert truncate_ip("01.2.3.4") is None


def test_anonymous_users_depend_on_the_key_and_on_each_part() -> None:
    users = {
        anonymous_user(b"k", "a", "b"),
        anonymous_user(b"k", "ab", ""),
        anonymous_user(b"k", "ab", None, ""),
        anonymous_user(b"j", "a", "b"),
    }
    assert len(users) == 4
    assert anonymous_user(b"k", "a", "b") == anonymous_user(b"k", "a", "b")
