"""What the processes of `headrace up` say, as one stream of lines on stderr: time, who, what, and the fields."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

PALETTE = ("cyan", "green", "magenta", "blue", "yellow", "bright_cyan", "bright_green", "bright_magenta")
LEVEL_STYLES = {"debug": "dim", "warning": "yellow", "error": "bold red", "critical": "bold red"}
_HIDDEN = frozenset({"ts", "level", "event", "service", "exception", "trace_id"})
"""Told in another way, or of use to a search only: HEADRACE_LOG_FORMAT=json has it all."""


class LogView:
    """Prints lines of many processes, each under its own colour and in aligned columns.

    `raw`: pass JSON lines on as they are, for machines.
    """

    def __init__(self, console: Console, *, raw: bool = False) -> None:
        self.console = console
        self._raw = raw
        self._styles: dict[str, str] = {}
        self._width = 0

    def introduce(self, name: str) -> None:
        """Give a process its colour; the label column grows to the longest name."""
        self._styles.setdefault(name, PALETTE[len(self._styles) % len(PALETTE)])
        self._width = max(self._width, len(name))

    def line(self, name: str, line: bytes) -> None:
        """One line that a process wrote."""
        text = line.decode("utf-8", "replace").rstrip()
        if not text:
            return
        if self._raw:
            self.console.file.write(text + "\n")
            return
        self._print(name, render(text))

    def say(self, name: str, message: str, *, level: str = "info") -> None:
        """Something about a process, in our own words."""
        if self._raw:
            self.console.file.write(json.dumps({"level": level, "event": "up.process", "of": name, "message": message}))
            self.console.file.write("\n")
            return
        self._print(name, Text(message, style=LEVEL_STYLES.get(level, "bold")))

    def _print(self, name: str, body: Text) -> None:
        label = Text(f"{name:<{self._width}} ", style=self._styles.get(name, ""))
        self.console.print(label.append("│ ", style="dim").append_text(body), soft_wrap=True, highlight=False)


def render(line: str) -> Text:
    """One JSON log line → `12:30:59 batch.committed rows=123 objects=2`; any other line as it is."""
    try:
        event = json.loads(line)
    except ValueError:
        return Text.from_ansi(line)
    if not isinstance(event, dict) or "event" not in event:
        return Text(line)
    level = str(event.get("level", "info"))
    style = LEVEL_STYLES.get(level, "")
    text = Text(_clock_time(event.get("ts")), style="dim")
    text.append(" ")
    if style:
        text.append(f"{level} ", style=style)
    text.append(str(event["event"]), style=style or "bold")
    for name, value in event.items():
        if name not in _HIDDEN and value != "":
            text.append(f" {name}=", style="dim").append(_value(value))
    if exception := event.get("exception"):
        text.append(f"\n{exception}", style="dim")
    return text


def _clock_time(stamp: Any) -> str:
    try:
        return datetime.fromisoformat(stamp).astimezone().strftime("%H:%M:%S")
    except (TypeError, ValueError):
        return "--:--:--"


def _value(value: Any) -> str:
    match value:
        case bool() | None:
            return json.dumps(value)
        case float():
            return f"{value:.3f}".rstrip("0").rstrip(".")
        case list():
            return ", ".join(map(_value, value))
        case Mapping():
            return " ".join(f"{name}={_value(part)}" for name, part in value.items())
    return str(value)
