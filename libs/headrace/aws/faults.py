"""botocore's errors → ours. Nobody else looks at error codes, except to tell a lost condition from a failure."""

import contextlib
from collections.abc import Iterator
from http import HTTPStatus

from aiohttp import ClientError as HttpError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError

from headrace.errors import (
    AccessError,
    ConflictError,
    HeadraceError,
    NotFoundError,
    RequestError,
    ThrottledError,
    UnavailableError,
)

_THROTTLED = frozenset({
    "KMSThrottlingException", "LimitExceededException", "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException",
    "SlowDown", "ThrottledException", "Throttling", "ThrottlingException", "TooManyRequestsException",
})  # fmt: skip
_CONFLICT = frozenset({
    "AlreadyExistsException", "ConcurrentModificationException", "ConditionalCheckFailedException",
    "PreconditionFailed", "TransactionCanceledException",
})  # fmt: skip
_NOT_FOUND = frozenset({
    "EntityNotFoundException", "NoSuchBucket", "NoSuchKey", "NoSuchUpload", "NotFound",
    "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "ResourceNotFoundException",
})  # fmt: skip
_ACCESS = frozenset({
    "AccessDenied", "AccessDeniedException", "AuthorizationError", "ExpiredToken", "ExpiredTokenException",
    "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidSignatureException", "KMSAccessDeniedException",
    "KMSDisabledException", "SignatureDoesNotMatch", "UnrecognizedClientException",
})  # fmt: skip
_RETRYABLE = frozenset({
    "BadDigest", "ConditionalRequestConflict", "ExpiredNextTokenException", "InternalError", "InternalFailure",
    "InternalServerError", "InternalServiceException", "OperationAborted", "OperationTimeoutException",
    "RequestTimeout", "RequestTimeoutException", "ServiceUnavailable", "TransactionConflictException",
    "TransactionInProgressException",
})  # fmt: skip


_STATUSES: dict[int, type[HeadraceError]] = {
    HTTPStatus.FORBIDDEN: AccessError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.PRECONDITION_FAILED: ConflictError,
}
"""Of an answer to HEAD, which has no body to say more."""


def classify(code: str, status: int, message: str = "") -> HeadraceError:
    """The error for an AWS error code and HTTP status. An unknown code is judged by its status.

    No code, or the bare status for one, means that the answer was cut off before it or came from something between us
    and AWS: no service refuses a request without saying why, so nothing is known of what became of it. Only 413 needs
    no words: whoever says it, the same request will not get through.
    """
    text = f"{code}: {message}" if message else code
    kinds: list[tuple[frozenset[str], type[HeadraceError]]] = [
        (_THROTTLED, ThrottledError),
        (_CONFLICT, ConflictError),
        (_NOT_FOUND, NotFoundError),
        (_ACCESS, AccessError),
        (_RETRYABLE, UnavailableError),
    ]
    for codes, kind in kinds:
        if code in codes:
            return kind(text)
    is_bare = code in {"", str(status)} and status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == 0
    return UnavailableError(text) if is_bare or failed else RequestError(text)


@contextlib.contextmanager
def aws_errors() -> Iterator[None]:
    """Turn whatever botocore or the network raises inside the block into the error tree of `headrace.errors`."""
    try:
        yield
    except ClientError as error:
        details = error.response.get("Error", {})
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        code, message = str(details.get("Code", "")), str(details.get("Message", ""))
        if error.operation_name.startswith("Head") and code == str(status) and status in _STATUSES:
            raise _STATUSES[status](f"{code}: {message}") from error
        raise classify(code, status, message) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise AccessError(str(error)) from error
    except ParamValidationError as error:
        raise RequestError(str(error)) from error
    except (BotoCoreError, ResponseParserError, HttpError, TimeoutError, OSError) as error:
        raise UnavailableError(f"{type(error).__name__}: {error}") from error
