"""A long JSON text → its values, in constant memory: the elements of top-level arrays, and concatenated values.

Only brackets and strings are looked at; what is between them is for the parser to judge. Text that is cut off comes
out as it is, so that it is rejected and not lost.
"""

import re
from collections.abc import Iterable, Iterator

MAX_VALUE_BYTES = 16 << 20
"""An event is at most 1 MiB, but an input that a mapping unnests holds many."""

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{}]|[^\s,"\[\]{}]+', re.DOTALL)
_STRING_REST = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_OPENING, _CLOSING = b"[{", b"]}"


def split_values(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The values in order. Of one over `MAX_VALUE_BYTES` only that much comes out; what follows it is not harmed."""
    splitter = _Splitter()
    for chunk in chunks:
        yield from splitter.feed(chunk)
    yield from splitter.rest()


class _Splitter:
    def __init__(self) -> None:
        self._buffer = b""
        self._scanned = 0
        self._start: int | None = None  # of the value that is open
        self._depth = 0  # within it
        self._in_string = False  # that goes on in the next chunk
        self._in_array = False  # a top-level array is no value but holds them
        self._cut = False  # the open value's beginning came out already, and its end will not

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The values that end in this chunk."""
        self._buffer += chunk
        yield from self._scan(final=False)
        if self._start is not None and len(self._buffer) - self._start > MAX_VALUE_BYTES:
            if not self._cut:
                yield self._buffer[self._start : self._start + MAX_VALUE_BYTES]
            self._cut, self._start = True, self._scanned
        elif self._start is None and len(self._buffer) - self._scanned > MAX_VALUE_BYTES:
            yield self._buffer[self._scanned :]  # a word without end
            self._scanned = len(self._buffer)
        keep = self._scanned if self._start is None else self._start
        self._buffer = self._buffer[keep:]
        self._scanned -= keep
        self._start = None if self._start is None else 0

    def rest(self) -> Iterator[bytes]:
        """What is left at the end of the text."""
        yield from self._scan(final=True)
        start = self._scanned if self._start is None else self._start
        left = self._buffer[start:].strip(b" \t\r\n,")
        if left and not self._cut:
            yield left

    def _scan(self, *, final: bool) -> Iterator[bytes]:
        while not self._in_string or self._string_ends():
            if self._start is not None and self._depth == 0:
                yield from self._close()
            match = _TOKEN.search(self._buffer, self._scanned)
            if match is None:
                self._scanned = len(self._buffer)
                return
            token, end = match.group(), match.end()
            if end == len(self._buffer) and self._start is None and token[0] not in b'"[]{}' and not final:
                return  # a word that goes on in the next chunk
            self._scanned = end
            if token == b'"':
                self._in_string = True
                self._open(match.start())
            elif token in _OPENING or token in _CLOSING:
                self._bracket(token, match.start())
            elif self._start is None:
                yield token  # a value without brackets

    def _open(self, at: int) -> None:
        self._start = at if self._start is None else self._start

    def _bracket(self, token: bytes, at: int) -> None:
        if self._start is None and token == b"[" and not self._in_array:
            self._in_array = True
        elif self._start is None and token in _CLOSING:
            self._in_array = False
        elif token in _OPENING:
            self._open(at)
            self._depth += 1
        else:
            self._depth -= 1

    def _string_ends(self) -> bool:
        """Step over what there is of the open string; whether its end is part of it."""
        rest = _STRING_REST.match(self._buffer, self._scanned)
        self._scanned = rest.end() if rest else self._scanned
        if not self._buffer.startswith(b'"', self._scanned):
            return False
        self._scanned += 1
        self._in_string = False
        return True

    def _close(self) -> Iterator[bytes]:
        """The open value, unless only its beginning is to come out."""
        if not self._cut:
            yield self._buffer[self._start : self._scanned]
        self._start, self._cut = None, False
