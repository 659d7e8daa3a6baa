"""Who may read and who may collect."""

import hashlib
import hmac
import re
from collections.abc import Iterable
from http import HTTPStatus

from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.errors import ConfigError
from services.stats_api.problems import problem

_DIGEST = "sha256:"


class KeyRing:
    """Keys, known by their SHA-256 only. Without keys the door is open.

    Each is written plainly or as `sha256:` and 64 hex digits. Raises `ConfigError`, naming `setting`, for a malformed
    digest.
    """

    def __init__(self, keys: Iterable[str], *, setting: str) -> None:
        self._digests = [_digest_of(key, setting) for key in keys]

    @property
    def is_open(self) -> bool:
        """Whether anyone may enter."""
        return not self._digests

    def accepts(self, key: str | None) -> bool:
        """Whether this key opens. Takes the same time for every wrong key."""
        if self.is_open:
            return True
        if key is None:
            return False
        given = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        matches = [hmac.compare_digest(given, digest) for digest in self._digests]
        return any(matches)


def _digest_of(key: str, setting: str) -> bytes:
    if not key.startswith(_DIGEST):
        return hashlib.sha256(key.encode()).digest()
    digits = key.removeprefix(_DIGEST)
    if not re.fullmatch(r"[0-9a-fA-F]{64}", digits):
        raise ConfigError([f"{setting}: {_DIGEST} must be followed by 64 hex digits"])
    return bytes.fromhex(digits)


class Guard:
    """ASGI: lets requests below `prefixes` through with a key in `X-API-Key` or `Authorization: Bearer` only.

    It stands in front of the cache, which does not look at keys.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing, prefixes: tuple[str, ...]) -> None:
        self._app = app
        self._keys = keys
        self._prefixes = prefixes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if self._keys.is_open or not scope["path"].startswith(self._prefixes) or self._keys.accepts(_key_of(scope)):
            await self._app(scope, receive, send)
            return
        refused = problem(
            HTTPStatus.UNAUTHORIZED, "a key is needed in X-API-Key", headers={"WWW-Authenticate": "Bearer"}
        )
        await refused(scope, receive, send)


def _key_of(scope: Scope) -> str | None:
    headers = dict(scope["headers"])
    if (key := headers.get(b"x-api-key")) is not None:
        return str(key.decode("latin-1"))
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
