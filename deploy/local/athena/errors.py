"""What goes wrong with a query, split by how Athena tells it.

AthenaError
├── InvalidRequestError   the call is refused: HTTP 400, InvalidRequestException
├── MetadataError         a database or table asked for is not there: HTTP 400, MetadataException
└── QueryFailedError      the query was accepted and ends as FAILED, with this as its reason
"""

from headrace.errors import HeadraceError


class AthenaError(HeadraceError):
    """Whatever a query or a call can do wrong."""


class InvalidRequestError(AthenaError):
    """The request cannot be accepted: no such execution, no output location, a syntax error."""


class MetadataError(AthenaError):
    """A data catalogue, database or table that a call asks for is not there."""


class QueryFailedError(AthenaError):
    """Worded as Athena words it: `TABLE_NOT_FOUND: line 1:1: …`."""
