"""A long JSON text → its values, in constant memory: the elements of top-level arrays, and concatenated values.

Only brackets and strings are looked at; what is between them is for the parser to judge. Text that is cut off comes
out as it is, so that it is rejected and not lost.
"""

import re
from collections.abc import Iterable, Iterator

MAX_VALUE_BYTES = 16 << 20

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{}]|[^\s,"\[\]{}]+', re.DOTALL)
_OPENING, _CLOSING = b"[{", b"]}"


def split_values(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The values in order. One that grows over `MAX_VALUE_BYTES` ends the text: it comes out cut off there."""
    splitter = _Splitter()
    for chunk in chunks:
        yield from splitter.feed(chunk)
        if splitter.held > MAX_VALUE_BYTES:
            break
    yield from splitter.rest()


class _Splitter:
    def __init__(self) -> None:
        self._buffer = b""
        self._scanned = 0
        self._start: int | None = None  # of the value that is open
        self._depth = 0  # within it
        self._in_array = False  # a top-level array is no value but holds them

    @property
    def held(self) -> int:
        return len(self._buffer)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The values that end in this chunk."""
        self._buffer += chunk
        yield from self._scan(final=False)
        keep = self._scanned if self._start is None else self._start
        self._buffer = self._buffer[keep:]
        self._scanned -= keep
        self._start = None if self._start is None else 0

    def rest(self) -> Iterator[bytes]:
        """What is left at the end of the text."""
        yield from self._scan(final=True)
        start = self._scanned if self._start is None else self._start
        if left := self._buffer[start:].strip(b" \t\r\n,"):
            yield left

    def _scan(self, *, final: bool) -> Iterator[bytes]:
        while (match := _TOKEN.search(self._buffer, self._scanned)) is not None:
            token, end = match.group(), match.end()
            if token == b'"' or (end == len(self._buffer) and token[0] not in b'"[]{}' and not final):
                break  # a string or word that goes on in the next chunk
            self._scanned = end
            if token in _OPENING:
                if self._start is None and token == b"[" and not self._in_array:
                    self._in_array = True
                    continue
                self._start = match.start() if self._start is None else self._start
                self._depth += 1
            elif token in _CLOSING:
                if self._start is None:
                    self._in_array = False
                    continue
                self._depth -= 1
            elif self._start is None:
                yield token  # a value without brackets
            if self._start is not None and self._depth == 0:
                yield self._buffer[self._start : end]
                self._start = None
