"""What was logged, for tests that ask for it."""

import json
from typing import Any

import pytest


def log_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The JSON lines on stderr since the last look; `log.configure(…, style="json")` comes first."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]
