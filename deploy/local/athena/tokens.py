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
_ESCAPE = re.compile(r"\\([0-3][0-7]{2})|\\u([0-9a-fA-F]{4})|\\(.)|''", re.DOTALL)
_CONTROL = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}
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


def tokenize(text: str, start: int = 0) -> list[Token]:
    """The tokens of `text` from `start` on, without spaces and comments, and one of kind `end` after them."""
    found = []
    for match in _TOKEN.finditer(text, start):
        kind, value = str(match.lastgroup), match.group()
        if kind == "string":
            value = _ESCAPE.sub(_unescaped, value[1:-1])
        elif kind == "quoted":
            value = value[1:-1]
        if kind != "space":
            found.append(Token(kind=kind, text=value, start=match.start()))
    return [*found, Token(kind="end", text="<EOF>", start=len(text))]


def _unescaped(escape: re.Match[str]) -> str:
    """Hive's escapes: octal, Unicode, control letters, and any other character as itself."""
    octal, code, character = escape.groups()
    if octal or code:
        return chr(int(octal, 8) if octal else int(code, 16))
    return "'" if character is None else _CONTROL.get(character, character)


class Cursor:
    """A place in a statement. What does not fit raises `InvalidRequestError` with its line and column."""

    def __init__(self, text: str) -> None:
        self.text = text
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
        rest = self.text[self.next.start :]
        self._at = len(self._tokens) - 1
        return rest

    def comes(self, *words: str) -> bool:
        """Whether these words come next; they stay there."""
        ahead = self._tokens[self._at : self._at + len(words)]
        return tuple(token.word for token in ahead) == words

    def skip_to(self, start: int) -> None:
        """Go on at this place of the text, whatever lies before it."""
        self._tokens, self._at = tokenize(self.text, start), 0

    def accept(self, *words: str) -> bool:
        """Step over these words if they come next, all of them."""
        if not self.comes(*words):
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
        if self.next.kind != "string" and not self.text.startswith('"', self.next.start):
            raise self.mismatch("a string")
        return self.take().text

    def mismatch(self, expected: str) -> InvalidRequestError:
        """The error for what comes next, worded as Athena's parser words it."""
        before = self.text[: self.next.start]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1)
        return InvalidRequestError(f"line {line}:{column}: mismatched input '{self.next.text}'. Expecting: {expected}")
