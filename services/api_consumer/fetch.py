"""One page of an API as bytes: within its time, within its size before and after decompression, from its own host."""

import asyncio
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

import aiohttp
from yarl import URL

from headrace.errors import UnavailableError
from services.api_consumer.guard import PrivateAddressError

SECONDS = 30.0
CONNECT_SECONDS = 5.0
MAX_BYTES = 16 << 20
MOST_REDIRECTS = 5

_REDIRECTS = frozenset({
    HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FOUND, HTTPStatus.SEE_OTHER,
    HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT,
})  # fmt: skip


class Fault(StrEnum):
    """Why a request brought no page: the label of the metric where no status says it."""

    BROKEN = "fault"
    """No answer, half an answer, or one that is no page."""
    TIMEOUT = "timeout"
    TOO_LARGE = "too_large"
    REDIRECT = "redirect"
    """To another host or scheme, or round in circles."""
    PRIVATE_ADDRESS = "private_address"


class FetchError(UnavailableError):
    """There is no page now."""

    def __init__(self, fault: Fault, text: str) -> None:
        super().__init__(text)
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer; the body is read for status 200 only."""

    status: int
    headers: Mapping[str, str]
    content_type: str
    body: bytes = b""


class Fetcher:
    """GETs one URL. `seconds` bound a request with its redirects, `max_bytes` a body on the wire and unpacked."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, *, max_bytes: int = MAX_BYTES, seconds: float = SECONDS
    ) -> None:
        self._http = http
        self._url = URL(url)
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def get(self, query: Mapping[str, str]) -> Reply:
        """The answer to the URL with `query` added. Raises `FetchError`."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._follow(self._url.extend_query(query))
        except aiohttp.ClientConnectorError as error:
            fault = Fault.PRIVATE_ADDRESS if isinstance(error.os_error, PrivateAddressError) else Fault.BROKEN
            raise FetchError(fault, str(error)) from error
        except TimeoutError as error:
            raise FetchError(Fault.TIMEOUT, f"no whole answer within {self._seconds:g} s") from error
        except (aiohttp.ClientError, ValueError, zlib.error) as error:
            raise FetchError(Fault.BROKEN, f"{type(error).__name__}: {error}") from error

    async def _follow(self, url: URL) -> Reply:
        for _ in range(MOST_REDIRECTS + 1):
            async with self._http.get(
                url,
                headers={"Accept-Encoding": "gzip"},
                allow_redirects=False,
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS),
            ) as response:
                if response.status not in _REDIRECTS:
                    return Reply(
                        status=response.status,
                        headers=response.headers,
                        content_type=response.content_type,
                        body=await self._body(response) if response.status == HTTPStatus.OK else b"",
                    )
                target = url.join(URL(response.headers.get("Location", "")))
            if target.scheme != url.scheme or target.host != url.host or target.port != url.port:
                raise FetchError(Fault.REDIRECT, "redirected to another host, port or scheme")
            url = target.with_user(url.user).with_password(url.password)
        raise FetchError(Fault.REDIRECT, f"more than {MOST_REDIRECTS} redirects")

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip", ""}:
            raise FetchError(Fault.BROKEN, f"an encoding that was not asked for: {encoding[:40]}")
        inflate = Gunzip(self._max_bytes) if encoding == "gzip" else None
        chunks, received = [], 0
        async for chunk in response.content.iter_any():
            received += len(chunk)
            if received > self._max_bytes:
                raise _too_large(self._max_bytes)
            chunks.append(chunk if inflate is None else inflate.feed(chunk))
        if inflate is not None and not inflate.complete:
            raise FetchError(Fault.BROKEN, "a gzip body that is cut off")
        return b"".join(chunks)


class Gunzip:
    """Unpacks gzip piece by piece, and never more than `limit` bytes of it."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._limit = limit
        self._member = _member()

    @property
    def complete(self) -> bool:
        """Whether the last member was read to its end."""
        return self._member.eof

    def feed(self, data: bytes) -> bytes:
        """What this piece unpacks to. Raises `zlib.error` for what is no gzip, `FetchError` beyond the limit."""
        found = []
        while data:
            if self._member.eof:
                self._member = _member()
            part = self._member.decompress(data, self._left + 1)
            self._left -= len(part)
            if self._left < 0:
                raise _too_large(self._limit)
            found.append(part)
            data = self._member.unused_data
        return b"".join(found)


def _member() -> "zlib._Decompress":
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)


def _too_large(limit: int) -> FetchError:
    return FetchError(Fault.TOO_LARGE, f"a page of over {limit} bytes")
