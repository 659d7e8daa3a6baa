"""The engines, and the folder that keeps the logs."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.harness.engines import dynamodb_local, kinesis_local

LOGS = Path(__file__).parents[2] / ".soak"


@pytest.fixture
def engines() -> Iterator[Mapping[str, str]]:
    """kinesis-local and DynamoDB Local, empty, in the place of MiniStack's stream and tables."""
    folder = Path(os.environ["HEADRACE_ENGINES"])
    with kinesis_local(folder) as kinesis, dynamodb_local(folder) as dynamodb:
        yield {"kinesis": kinesis, "dynamodb": dynamodb}


@pytest.fixture
def again(events: int, seed: int) -> str:
    """The command that does all of it once more: the same events, blows and chances, at moments as near as can be."""
    return f"make soak EVENTS={events} SEED={seed}"


@pytest.fixture
def logs(events: int, seed: int) -> Path:
    """Of the processes of this run. They stay until it is run again."""
    folder = LOGS / f"{events}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
