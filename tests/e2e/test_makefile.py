"""`make up` on a terminal."""

import os
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).parents[2]
ON_A_TERMINAL = """
import os, pty, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored in what a script starts in the background, and inherited
sys.exit(abs(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:]))))
"""
HEADRACE = """#!/bin/sh
trap 'echo drained; exit 0' INT
echo ready
while :; do sleep 0.1; done
"""
CTRL_C = b"\x03"
PATIENCE = 20


def test_ctrl_c_drains_and_make_ends_with_0(tmp_path: Path) -> None:
    (tmp_path / "headrace").write_text(HEADRACE)
    (tmp_path / "headrace").chmod(0o755)
    with subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL, "make", "up", f"BIN={tmp_path}"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},  # as if not under make
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as make:
        watchdog = threading.Timer(PATIENCE, make.kill)
        watchdog.start()
        assert make.stdout is not None
        assert make.stdin is not None
        assert b"ready" in make.stdout.readline()
        make.stdin.write(CTRL_C)
        make.stdin.flush()
        assert b"drained" in make.stdout.readline()
        assert make.wait() == 0
        watchdog.cancel()
