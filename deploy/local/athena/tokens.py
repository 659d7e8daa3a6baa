"""The words of a DDL statement, and a cursor that steps over them."""

import re
from dataclasses import dataclass

from deploy.local.athena.errors import InvalidRequestError

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|/\*.*?\*/)
  | (?P<string>'(?:[^'\\]|\\.|'')*')
  | (?P<quoted>`[^`]+`|"(?:[^"\\]|\\.)*")
  | (?P<word>\w+)
  | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)|''", re.DOTALL)
_IDENTIFIER = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """`text` is a string's value, a quoted identifier's name, or what was written."""

    kind: str
    text: str
    start: int

    @property
    def word(self) -> str:
        """Lower case, for comparison with keywords; empty for anything quoted."""
        return self.text.lower() if self.kind in {"word", "mark"} else ""


def tokenize(text: str) -> list[Token]:
    """The tokens of `text` without spaces and comments, and one of kind `end` after them."""
    found = []
    for match in _TOKEN.finditer(text):
        kind, value = str(match.lastgroup), match.group()
        if kind == "string":
            value = _ESCAPE.sub(lambda escape: escape[1] or "'", value[1:-1])
        elif kind == "quoted":
            value = value[1:-1]
        if kind != "space":
            found.append(Token(kind=kind, text=value, start=match.start()))
    return [*found, Token(kind="end", text="<EOF>", start=len(text))]


class Cursor:
    """A place in a statement. What does not fit raises `InvalidRequestError` with its line and column."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._at = 0

    @property
    def next(self) -> Token:
        """The token that comes next; it stays there."""
        return self._tokens[self._at]

    @property
    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self.next.kind == "end"

    def take(self) -> Token:
        """Step over one token."""
        token = self.next
        self._at += not self.at_end
        return token

    def take_rest(self) -> str:
        """Step to the end; everything from here on, as written."""
        rest = self._text[self.next.start :]
        self._at = len(self._tokens) - 1
        return rest

    def accept(self, *words: str) -> bool:
        """Step over these words if they come next, all of them."""
        ahead = self._tokens[self._at : self._at + len(words)]
        if tuple(token.word for token in ahead) != words:
            return False
        self._at += len(words)
        return True

    def expect(self, *words: str) -> None:
        """Step over these words, which must come next."""
        if not self.accept(*words):
            raise self.mismatch(" ".join(words).upper())

    def identifier(self) -> str:
        """A plain or quoted identifier, in lower case."""
        if self.next.kind not in {"word", "quoted"} or not _IDENTIFIER.fullmatch(self.next.text):
            raise self.mismatch("an identifier")
        return self.take().text.lower()

    def string(self) -> str:
        """The value of a string in single or double quotes."""
        if self.next.kind != "string" and not self._text.startswith('"', self.next.start):
            raise self.mismatch("a string")
        return self.take().text

    def mismatch(self, expected: str) -> InvalidRequestError:
        """The error for what comes next, worded as Athena's parser words it."""
        before = self._text[: self.next.start]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1)
        return InvalidRequestError(f"line {line}:{column}: mismatched input '{self.next.text}'. Expecting: {expected}")
