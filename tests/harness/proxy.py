"""A reverse proxy between the services and the local cloud that breaks AWS calls on request.

It runs in a thread of its own, so that tests may block. Calls are told apart by what the AWS SDK signs: the service
from the credential scope, the operation from `X-Amz-Target`, a form's `Action`, or S3's method, path and query.
"""

import asyncio
import io
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from tests.harness.actions import AT_ONCE, REFUSED, SILENT, UNDONE, Action, refusal

MAX_BODY = 64 << 20
HOP_BY_HOP = frozenset({"connection", "content-length", "expect", "host", "keep-alive", "transfer-encoding"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which calls, and what becomes of them."""

    action: Action
    service: str = ""
    """As in the credential scope; empty: all."""
    operations: frozenset[str] = frozenset()
    """Empty: all."""
    says: bytes = b""
    """Part of the body: the operation alone does not tell which step a call is."""
    chance: float = 1.0
    """Of each call to be hit."""
    limit: int | None = None
    """Calls to be hit in all; None: as long as the rule holds."""
    seconds: float = 0.0
    """Of `DELAY`."""
    keep: float = 0.5
    """Of `CORRUPT`: which part of the answer's body arrives, of 1."""
    torn: bool = False
    """Of `CORRUPT`: the head speaks of the whole body, and the connection ends within it."""
    then: Callable[[], None] = lambda: None
    """Called in the proxy's thread when a call is hit: once it happened where it happens at once, else before all."""

    def matches(self, call: "Call", body: bytes) -> bool:
        """Whether the call is meant."""
        fits = self.service in {"", call.service} and (not self.operations or call.operation in self.operations)
        return fits and self.says in body


@dataclass(frozen=True, slots=True)
class Call:
    """What is called."""

    service: str
    operation: str


@dataclass(slots=True, eq=False)
class _Active:
    rule: Rule
    injected: Counter[Call] = field(default_factory=Counter)


_MULTIPART = {
    ("POST", "uploads"): "CreateMultipartUpload",
    ("PUT", "partNumber"): "UploadPart",
    ("POST", "uploadId"): "CompleteMultipartUpload",
}


def recognise(method: str, url: URL, headers: Mapping[str, str], body: bytes) -> Call:
    """A request → what it calls; `?` for what was not signed."""
    scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request", headers.get("Authorization", ""))
    service = scope[1] if scope else "?"
    if target := headers.get("X-Amz-Target"):
        return Call(service, target.rpartition(".")[2])
    if action := re.search(rb"(?:^|&)Action=(\w+)", body[:4096]):
        return Call(service, action[1].decode())
    for (verb, parameter), operation in _MULTIPART.items():
        if method == verb and parameter in url.query:
            return Call(service, operation)
    of_object = url.path.strip("/").count("/") > 0
    what = "Object" if of_object else "Bucket"
    return Call(service, {"PUT": "Put", "GET": "Get", "HEAD": "Head", "DELETE": "Delete"}.get(method, method) + what)


class FaultProxy:
    """`with FaultProxy(upstream) as proxy:` then `with proxy.rules(Rule(…)) as injected:`."""

    def __init__(self, upstream: str, *, others: Mapping[str, str] | None = None, seed: int = 0) -> None:
        self._upstream = upstream
        self._others = dict(others or {})
        """Upstreams of single services."""
        self._random = random.Random(seed)
        self._active: list[_Active] = []
        self._loop = asyncio.new_event_loop()
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self.calls: Counter[Call] = Counter()
        """All that came by."""
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._stopping is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)
        self._loop.close()

    @contextmanager
    def rules(self, *rules: Rule) -> Iterator[list[Counter[Call]]]:
        """Hold the rules while the block runs; the first that fits a call decides. Yields what each has injected."""
        added = [_Active(rule) for rule in rules]
        self._active = [*added, *self._active]
        try:
            yield [each.injected for each in added]
        finally:
            self._active = [each for each in self._active if each not in added]

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        app = web.Application(client_max_size=MAX_BODY)
        timeout = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as self._http:
            app.router.add_route("*", "/{path:.*}", self._handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self._ready.set()
            await self._stopping.wait()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.read()
        except ConnectionResetError:  # it died in the middle of its request
            return web.Response()
        call = recognise(request.method, request.url, request.headers, body)
        self.calls[call] += 1
        active = self._hit(call, body)
        if active is None:
            return await self._forward(request, call, body) or _closed(request)
        active.injected[call] += 1
        action = active.rule.action
        if action not in AT_ONCE:
            active.rule.then()
        if action in REFUSED:
            return refusal(action, call.service, broken=self._random.choice((500, 503)))
        if action is Action.DELAY:
            await asyncio.sleep(active.rule.seconds)
        answer = None if action in UNDONE else await self._forward(request, call, body)
        if action in AT_ONCE:
            active.rule.then()
        if action in SILENT:
            assert self._stopping is not None
            await self._stopping.wait()  # who waits for this answer must give up by itself
        if answer is None or action in {Action.DROP_AFTER, Action.MUTE}:
            return _closed(request)
        return _cut(request, answer, active.rule) if action is Action.CORRUPT else answer

    def _hit(self, call: Call, body: bytes) -> _Active | None:
        for active in self._active:
            rule = active.rule
            used_up = rule.limit is not None and active.injected.total() >= rule.limit
            if rule.matches(call, body) and not used_up and self._random.random() < rule.chance:
                return active
        return None

    def _place(self, _request: web.Request, call: Call) -> str:
        """The upstream of a call."""
        return self._others.get(call.service, self._upstream)

    async def _forward(self, request: web.Request, call: Call, body: bytes) -> web.Response | None:
        """The upstream's answer; None when it has closed the connection."""
        url = URL(self._place(request, call) + request.raw_path, encoded=True)
        headers = _kept(request.headers.items())
        try:
            async with self._http.request(request.method, url, data=io.BytesIO(body), headers=headers) as answer:
                content = await answer.read()
        except aiohttp.ClientConnectionError:
            return None
        headers = _kept(answer.headers.items())
        if request.method == "HEAD" and "Content-Length" in answer.headers:
            headers["Content-Length"] = answer.headers["Content-Length"]  # of what it does not send
        return web.Response(status=answer.status, headers=headers, body=content or None)


def _kept(headers: Iterable[tuple[str, str]]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers if name.lower() not in HOP_BY_HOP)


def _closed(request: web.Request) -> web.Response:
    with suppress(AttributeError):  # it went away by itself
        request.transport.abort()  # type: ignore[union-attr]
    return web.Response()


def _cut(request: web.Request, answer: web.Response, rule: Rule) -> web.Response:
    if not isinstance(answer.body, bytes):
        return answer
    whole = len(answer.body)
    answer.body = answer.body[: int(whole * rule.keep)]
    if not rule.torn:
        return answer
    lines = [f"HTTP/1.1 {answer.status} torn", f"Content-Length: {whole}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items() if name.lower() != "content-length"]
    with suppress(AttributeError):  # it went away by itself
        request.transport.write("\r\n".join([*lines, "", ""]).encode() + answer.body)  # type: ignore[union-attr]
        request.transport.close()  # type: ignore[union-attr]
    return web.Response()
