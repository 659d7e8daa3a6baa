"""Every error as RFC 9457 problem details."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from headrace.errors import AccessError, HeadraceError, RetryableError
from headrace.telemetry.log import get_logger

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    parameter: str = Field(examples=["window"])
    message: str


class Problem(BaseModel):
    """Problem details, RFC 9457."""

    type: str = Field(default="about:blank", description="A URI; about:blank: the status is all there is to know")
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str | None = None
    errors: list[Fault] | None = Field(default=None, description="Of a request that failed validation")


def problem(
    status: int,
    detail: str | None = None,
    *,
    errors: list[Fault] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A response that tells what went wrong."""
    told = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors)
    body = msgspec.json.encode(told.model_dump(exclude_none=True))
    return Response(body, status, headers=headers, media_type=MEDIA_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these problems."""
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": _SCHEMA}}}
        for status in statuses
    }


_SCHEMAS = "#/components/schemas/"
_SCHEMA = {"$ref": f"{_SCHEMAS}Problem"}


def install(app: FastAPI) -> None:
    """Answer with problems wherever the framework would answer with its own kind of errors, and document them."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        document = describe()
        _, schemas = models_json_schema([(Problem, "serialization")], ref_template=f"{_SCHEMAS}{{model}}")
        document["components"]["schemas"] |= schemas["$defs"]
        return document

    app.openapi = openapi  # type: ignore[method-assign]

    @app.exception_handler(HTTPException)
    async def on_http(_request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if "GET" in headers.get("Allow", ""):
            headers["Allow"] += ", HEAD"
        return problem(error.status_code, error.detail, headers=headers)

    @app.exception_handler(RequestValidationError)
    async def on_validation(_request: Request, error: RequestValidationError) -> Response:
        faults = [
            Fault(parameter=".".join(str(part) for part in fault["loc"][1:]), message=fault["msg"])
            for fault in error.errors()
        ]
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the request does not fit its description", errors=faults)

    @app.exception_handler(RetryableError)
    @app.exception_handler(AccessError)  # not the sender's fault, and it may pass: what was collected can be sent again
    async def on_unavailable(request: Request, error: RetryableError | AccessError) -> Response:
        get_logger().warning("request.unavailable", path=request.url.path, error=str(error))
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "a place this depends on does not answer; try again",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )

    @app.exception_handler(HeadraceError)
    async def on_failure(request: Request, error: HeadraceError) -> Response:
        get_logger().error("request.failed", path=request.url.path, error=str(error), kind=type(error).__name__)
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR)

    @app.exception_handler(Exception)
    async def on_defect(_request: Request, _error: Exception) -> Response:
        # The framework raises the error again once this is sent, so it is logged with all it has to say.
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR)
