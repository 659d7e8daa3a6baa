"""The command line as a user of the real files calls it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
RUN_SECONDS = 300
PORTS = ("LOCAL_AWS_PORT", "LOCAL_ATHENA_PORT", "SIMULATOR_PORT", "STATS_PORT", "METRICS_PORT_BASE")


def headrace(*args: str, env: Mapping[str, str] | None = None) -> str:
    """Standard output of the command line; on failure its standard error is shown. `env` is added to its settings."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HEADRACE_"))}
    environ |= {f"HEADRACE_{name}": "0" for name in PORTS} | dict(env or {})
    command = [str(Path(sys.executable).with_name("headrace")), *args]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environ, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stderr[-5000:]}"
    return done.stdout
