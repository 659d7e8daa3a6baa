"""The documentation and the tree."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_module_map_matches_the_tree() -> None:
    check = subprocess.run([sys.executable, "scripts/module_map.py", "--check"], cwd=ROOT, check=False)
    assert check.returncode == 0, "run: .venv/bin/python scripts/module_map.py"
