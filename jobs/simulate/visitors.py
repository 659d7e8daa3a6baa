"""Who comes to the shop: the same people again and again."""

from random import Random
from typing import NamedTuple

from jobs.simulate.catalogue import DEVICES, PLACES, Device, Place, chance


class Visitor(NamedTuple):
    """Someone who comes back: the same device, place and address on each visit."""

    user_id: str
    has_account: bool
    device: Device
    place: Place
    ip: str
    tells_place: bool
    tells_device: bool


def make_visitor(number: int, rng: Random) -> Visitor:
    """Visitor `number`, drawn from `rng`."""
    device = DEVICES.draw(rng)
    return Visitor(
        user_id=f"u-{number:06}",
        has_account=chance(rng, 0.7) and not device.is_bot,
        device=device,
        place=PLACES.draw(rng),
        ip=_address(rng),
        tells_place=chance(rng, 0.85),
        tells_device=chance(rng, 0.5),
    )


def _address(rng: Random) -> str:
    """From the ranges reserved for documentation: RFC 5737 and RFC 3849."""
    if chance(rng, 0.3):
        return f"2001:db8:{rng.getrandbits(16):x}:{rng.getrandbits(16):x}::{1 + rng.getrandbits(12):x}"
    return f"{rng.choice(('192.0.2', '198.51.100', '203.0.113'))}.{1 + rng.randrange(254)}"
