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
_CONFLICT = frozenset({"ConditionalCheckFailedException", "PreconditionFailed", "412", "TransactionCanceledException"})
_NOT_FOUND = frozenset({
    "404", "EntityNotFoundException", "NoSuchBucket", "NoSuchKey", "NoSuchUpload", "NotFound",
    "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "ResourceNotFoundException",
})  # fmt: skip
_ACCESS = frozenset({
    "AccessDenied", "AccessDeniedException", "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId",
    "InvalidClientTokenId", "InvalidSignatureException", "KMSAccessDeniedException", "KMSDisabledException",
    "SignatureDoesNotMatch", "UnrecognizedClientException", "403",
})  # fmt: skip
_RETRYABLE = frozenset({
    "400", "BadDigest", "ConditionalRequestConflict", "InternalError", "InternalFailure", "InternalServerError",
    "OperationAborted", "RequestTimeout", "RequestTimeoutException", "ServiceUnavailable",
    "TransactionConflictException", "TransactionInProgressException",
})  # fmt: skip


def classify(code: str, status: int, message: str = "") -> HeadraceError:
    """The error for an AWS error code and HTTP status. An unknown code is judged by its status.

    A bare 400 for a code means that the answer had none, or was cut off before it: no service refuses a request without
    saying why, so nothing is known of what became of it.
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
    return UnavailableError(text) if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == 0 else RequestError(text)


@contextlib.contextmanager
def aws_errors() -> Iterator[None]:
    """Turn whatever botocore or the network raises inside the block into the error tree of `headrace.errors`."""
    try:
        yield
    except ClientError as error:
        details = error.response.get("Error", {})
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        raise classify(str(details.get("Code", "")), status, str(details.get("Message", ""))) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise AccessError(str(error)) from error
    except ParamValidationError as error:
        raise RequestError(str(error)) from error
    except (BotoCoreError, ResponseParserError, HttpError, TimeoutError, OSError) as error:
        raise UnavailableError(f"{type(error).__name__}: {error}") from error
