"""The stats API held to its own OpenAPI document: `make test-api`."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stats_api_process import fresh_resources, running

HERE = Path(__file__).parent
KEY = "a-key-of-the-test"


async def test_no_answer_is_a_5xx_or_undocumented_whatever_is_sent(
    aws_environment: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = await fresh_resources(monkeypatch, HEADRACE_API_KEYS=KEY, HEADRACE_COLLECT_RATE="0")
    with running(settings):
        ended = await asyncio.to_thread(
            subprocess.run,
            [
                *(Path(sys.executable).with_name("schemathesis"), "--config-file", HERE / "schemathesis.toml"),
                *("run", f"http://127.0.0.1:{settings.stats_port}/openapi.json"),
                *("--header", f"X-API-Key: {KEY}", "--continue-on-failure", "--no-color"),
            ],
            cwd=tmp_path, check=False, capture_output=True, text=True, timeout=90,
        )  # fmt: skip
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
