"""What the emulator's own Athena API remembers: workgroups, prepared and named queries. It runs no DDL."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ParamValidationError
from botocore.session import Session

from deploy.local.athena.errors import InvalidRequestError
from headrace.aws.faults import aws_errors
from headrace.errors import NotFoundError, RequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkgroupOutput:
    """Where a workgroup puts results, if it says so, and whether it overrules the client."""

    location: str
    enforced: bool


class Workgroups:
    """A pass-through for worker threads. Replies are JSON as the API shows it."""

    def __init__(self, region: str, endpoint: str) -> None:
        self._athena = Session().create_client(
            "athena",
            region_name=region,
            endpoint_url=endpoint,  # never AWS_ENDPOINT_URL_ATHENA: that is this process
            config=Config(max_pool_connections=32, retries={"mode": "standard", "total_max_attempts": 3}),
        )

    def output(self, name: str) -> WorkgroupOutput:
        """Raises `InvalidRequestError` when there is no such workgroup."""
        configuration = self.get({"WorkGroup": name})["WorkGroup"].get("Configuration", {})
        location = configuration.get("ResultConfiguration", {}).get("OutputLocation", "")
        return WorkgroupOutput(location=location, enforced=bool(configuration.get("EnforceWorkGroupConfiguration")))

    def get(self, request: dict[str, Any]) -> dict[str, Any]:
        """GetWorkGroup."""
        return self.call("GetWorkGroup", request)

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Any operation, as it is. Raises `InvalidRequestError` when it is refused."""
        try:
            with aws_errors():
                reply = getattr(self._athena, xform_name(operation))(**request)
        except (NotFoundError, RequestError, ParamValidationError) as error:
            raise InvalidRequestError(str(error).partition(": ")[2] or str(error)) from error
        return {key: _json(value) for key, value in reply.items() if key != "ResponseMetadata"}


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    return [_json(item) for item in value] if isinstance(value, list) else value
