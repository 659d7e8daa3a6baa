"""Dead letters of a run, in objects of bounded size."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from headrace.quarantine import Envelope, to_jsonl_gz
from jobs.medallion.duck.files import Files

LETTERS = 10_000
LETTER_BYTES = 8 << 20
"""An object has no more envelopes, nor more bytes of payload, than these and one envelope."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)


@dataclass(slots=True)
class LetterSpool:
    """Envelopes of one file that wait until it has proved readable: the first in scratch, if they are many."""

    path: Path
    _held: list[Envelope] = field(default_factory=list)
    _size: int = 0

    def add(self, letters: Iterable[Envelope]) -> None:
        """Take envelopes."""
        for letter in letters:
            self._held.append(letter)
            self._size += len(letter.payload)
            if len(self._held) >= LETTERS or self._size >= LETTER_BYTES:
                with self.path.open("ab") as file:
                    file.write(_encoder.encode_lines(self._held))
                self._held.clear()
                self._size = 0

    def drain(self) -> Iterator[Envelope]:
        """All of them, in order; none stays."""
        if self.path.exists():
            with self.path.open("rb") as file:
                yield from map(_decoder.decode, file)
        yield from self._held
        self.forget()

    def forget(self) -> None:
        """Give memory and file back."""
        self._held.clear()
        self.path.unlink(missing_ok=True)


class Letters:
    """Gathers envelopes and writes them to the work area."""

    def __init__(self, files: Files, key: Callable[[int], str]) -> None:
        self._files = files
        self._key = key
        self._waiting: list[Envelope] = []
        self._size = 0
        self.keys: list[str] = []
        """Of the objects written."""

    def add(self, letters: Iterable[Envelope]) -> None:
        """Take envelopes; some of them may be written at once."""
        for letter in letters:
            self._waiting.append(letter)
            self._size += len(letter.payload)
            if len(self._waiting) >= LETTERS or self._size >= LETTER_BYTES:
                self.write()

    def write(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        key = self._key(len(self.keys))
        self._files.put(key, to_jsonl_gz(self._waiting))
        self.keys.append(key)
        self._waiting.clear()
        self._size = 0
