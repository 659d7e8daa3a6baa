"""The proxy as the gatekeeper: who calls is told by the access key, and may do what the policy of that name allows."""

import re
from collections import defaultdict
from collections.abc import Mapping

from aiohttp import web

from tests.harness.actions import Action, refusal
from tests.harness.iam import Need, Policy
from tests.harness.needs import Stack, needs
from tests.harness.proxy import Call, FaultProxy, recognise


class PolicedProxy(FaultProxy):
    """Refuses what the caller's policy does not allow, as AWS does, and keeps what was needed.

    Each caller may have an Athena of its own, which reads and writes in its name, as Athena does on AWS.
    """

    def __init__(self, upstream: str, stack: Stack, policies: Mapping[str, Policy]) -> None:
        super().__init__(upstream)
        self._stack = stack
        self._policies = policies
        self.athena: dict[str, str] = {}
        """Its address, by caller."""
        self.used: defaultdict[str, set[Need]] = defaultdict(set)
        self.refused: defaultdict[str, set[Need]] = defaultdict(set)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        call = recognise(request.method, request.url, request.headers, body)
        caller = caller_of(request)
        if call.service == "athena" and is_athena(request):
            return await super()._handle(request)  # what it keeps is its own
        wanted = needs(call, request.method, request.url, request.headers, body, self._stack)
        if not self._may(caller, wanted):
            return refusal(Action.DENY, call.service, broken=0)
        answer = await super()._handle(request)
        if call.service == "s3" and answer.status == 404 and not self._may(caller, [_listing(wanted)]):
            return refusal(Action.DENY, call.service, broken=0)  # whether it is there is not theirs to know
        return answer

    def _place(self, request: web.Request, call: Call) -> str:
        at_athena = call.service == "athena" and not is_athena(request)
        return self.athena[caller_of(request)] if at_athena else super()._place(request, call)

    def _may(self, caller: str, wanted: list[Need]) -> bool:
        refused = {need for need in wanted if not self._policies[caller].allows(need)}
        self.used[caller].update(set(wanted) - refused)
        self.refused[caller] |= refused
        return not refused


def key_of(caller: str, *, for_athena: bool = False) -> dict[str, str]:
    """The access key of a caller, or of the Athena that works in its name."""
    return {"AWS_ACCESS_KEY_ID": caller + _ATHENA * for_athena, "AWS_SECRET_ACCESS_KEY": "secret"}


def caller_of(request: web.Request) -> str:
    """In whose name a request is made."""
    return _key(request).removesuffix(_ATHENA)


def is_athena(request: web.Request) -> bool:
    """Whether it is Athena that makes it."""
    return _key(request).endswith(_ATHENA)


_ATHENA = ".athena"


def _key(request: web.Request) -> str:
    found = re.search(r"Credential=([^/]+)/", request.headers.get("Authorization", ""))
    return found[1] if found else ""


def _listing(wanted: list[Need]) -> Need:
    return Need("s3:ListBucket", wanted[0].resource.partition("/")[0])
