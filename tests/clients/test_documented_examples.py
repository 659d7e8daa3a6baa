"""The examples of docs/athena.md, run as they stand there by the clients that they are about.

The clients live in an environment of their own, whose folder of programs HEADRACE_CLIENTS names: `make test-clients`.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
from botocore.session import Session

from deploy.local.emulator import CREDENTIALS

GUIDE = Path(__file__).parents[2] / "docs" / "athena.md"
BUCKET = "headrace-data"
EXAMPLE = re.compile(r"```(python|sh)\n((?:(?!```).)*)```\n```text\n(.*?)```", re.DOTALL)


@pytest.fixture
def environment(ministack_url: str, athena_url: str) -> dict[str, str]:
    session = Session()
    session.set_credentials(*CREDENTIALS.values())
    session.create_client("s3", "us-east-1", endpoint_url=ministack_url).create_bucket(Bucket=BUCKET)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HEADRACE_"))}
    return {
        **inherited,
        **CREDENTIALS,
        "PATH": f"{os.environ['HEADRACE_CLIENTS']}:{os.environ['PATH']}",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": ministack_url,
        "AWS_ENDPOINT_URL_ATHENA": athena_url,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def test_every_example_prints_what_the_guide_says(environment: dict[str, str]) -> None:
    examples = EXAMPLE.findall(GUIDE.read_text())
    assert [language for language, _, _ in examples] == ["python", "python", "sh"]
    for language, code, expected in examples:  # in the guide's order: the later ones ask about the first one's table
        program = ["python", "-W", "error::UserWarning", "-"] if language == "python" else ["bash", "-euo", "pipefail"]
        done = subprocess.run(
            program, input=code, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert (done.returncode, done.stdout) == (0, expected), done.stderr
