"""What can be known from the user agent and the address. Each distinct value is looked up once and remembered."""

import re
from functools import lru_cache
from typing import NamedTuple

import maxminddb
import ua_parser

from headrace.errors import ConfigError

CACHE_SIZE = 65_536
"""Distinct values remembered, some 20 MB at most."""

_BOT = re.compile(
    r"bot\b|crawl|spider|slurp|headless|^(?:curl|wget|python-requests|go-http-client|okhttp)\b", re.IGNORECASE
)
_TABLET = re.compile(r"ipad|tablet|kindle|silk/|playbook|android(?!.*\bmobile\b)", re.IGNORECASE)
_MOBILE = re.compile(r"mobi|iphone|ipod|android|windows phone|blackberry", re.IGNORECASE)
_DESKTOP = re.compile(r"windows|macintosh|x11|linux|cros", re.IGNORECASE)


class Agent(NamedTuple):
    """What a user agent tells. Families are those of the ua-parser project."""

    device_type: str
    browser: str | None
    os: str | None
    is_bot: bool


class Enricher:
    """Looks up user agents, and countries when a MaxMind-format database is given.

    Raises `ConfigError` when that is missing or broken.
    """

    def __init__(self, geoip_db: str = "") -> None:
        try:
            self._countries = maxminddb.open_database(geoip_db) if geoip_db else None
        except OSError as error:
            raise ConfigError([f"HEADRACE_GEOIP_DB: {geoip_db}: {error.strerror}"]) from None
        except maxminddb.InvalidDatabaseError as error:
            raise ConfigError([f"HEADRACE_GEOIP_DB: {error}"]) from None
        self.agent = lru_cache(CACHE_SIZE)(_parse_agent)
        self.country = lru_cache(CACHE_SIZE)(self._country)

    @property
    def knows_countries(self) -> bool:
        """Whether there is a database to ask."""
        return self._countries is not None

    def _country(self, ip: str) -> str | None:
        """ISO 3166-1 alpha-2 of an address, or None."""
        found = self._countries.get(ip) if self._countries is not None else None
        country = found.get("country") if isinstance(found, dict) else None
        code = country.get("iso_code") if isinstance(country, dict) else None
        return code if isinstance(code, str) else None


def _parse_agent(text: str) -> Agent:
    parsed = ua_parser.parse(text)
    spider = parsed.device is not None and parsed.device.family == "Spider"
    is_bot = spider or _BOT.search(text) is not None
    return Agent(
        device_type="bot" if is_bot else _device_type(text),
        browser=parsed.user_agent.family if parsed.user_agent is not None else None,
        os=parsed.os.family if parsed.os is not None else None,
        is_bot=is_bot,
    )


def _device_type(text: str) -> str:
    for pattern, kind in ((_TABLET, "tablet"), (_MOBILE, "mobile"), (_DESKTOP, "desktop")):
        if pattern.search(text):
            return kind
    return "other"
