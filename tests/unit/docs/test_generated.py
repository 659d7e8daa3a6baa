"""The documentation and the code."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_what_is_generated_from_the_code_is_up_to_date() -> None:
    check = subprocess.run([sys.executable, "scripts/generate_docs.py", "--check"], cwd=ROOT, check=False)
    assert check.returncode == 0, "run: make docs"
