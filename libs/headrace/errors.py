"""One error tree, split by what the caller does.

HeadraceError
├── RetryableError       try again, with back-off
│   ├── ThrottledError      slow down first
│   └── UnavailableError    the other side is down, or did not answer; the effect may have happened
├── ConflictError        re-read the state: someone else changed it
│   └── LeaseLostError      drop the shard, keep the process
├── NotFoundError        the thing named is not there
├── HaltedError          leave this shard where it is until somebody has looked; the others go on
└── StopError            stop: no retry can mend it
    ├── ConfigError         every problem of the configuration at once
    ├── AccessError         credentials missing, expired for good or not allowed
    └── RequestError        the other side refused the request as malformed: a defect of ours
"""

from collections.abc import Sequence


class HeadraceError(Exception):
    """Whatever Headrace raises on purpose."""


class RetryableError(HeadraceError):
    """The same call may succeed later. An effect is possible: only repeat what is idempotent."""


class ThrottledError(RetryableError):
    """The other side asks for fewer calls; nothing happened."""


class UnavailableError(RetryableError):
    """No answer, a broken answer or a 5xx."""


class ConflictError(HeadraceError):
    """A conditional write failed: the state is not what the caller believed."""


class LeaseLostError(ConflictError):
    """Another worker owns this shard now."""


class NotFoundError(HeadraceError):
    """The stream, object, table or iterator does not exist (any more)."""


class HaltedError(HeadraceError):
    """A shard cannot go on without doing harm. Nothing is skipped: it stays at its checkpoint."""


class StopError(HeadraceError):
    """Going on would not help or would do harm."""


class AccessError(StopError):
    """Not allowed, or no credentials."""


class RequestError(StopError):
    """The request itself was refused."""


class ConfigError(StopError):
    """The configuration is wrong. `problems` has one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))
