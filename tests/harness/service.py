"""A service as a process of its own, and what can be seen of it from outside."""

import contextlib
import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.conftest import wait_for_http

READY_SECONDS = 20.0


class Service:
    """One process, started again as a supervisor would."""

    def __init__(self, name: str, module: str, env: Mapping[str, str], url: str, folder: Path) -> None:
        self.url = url
        self._command = [sys.executable, "-m", module]
        self._env = dict(env)
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._said: Counter[str] = Counter()
        self._read = 0
        """Bytes of the log that are counted in `_said`."""
        self._reading = threading.Lock()

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        assert self._process is not None
        return self._process.pid

    def start(self, *, ready: bool = True) -> None:
        """Start it, and wait until it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._env, stdout=log, stderr=log)
        if ready:
            wait_for_http(f"{self.url}/readyz", self._process, READY_SECONDS)

    def kill(self) -> None:
        """SIGKILL, and bury it; it may never have been started, or be dead already."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def end(self, seconds: float) -> float:
        """Seconds until a process that was told to end has done so. Fails when it takes longer, or ends in an error."""
        assert self._process is not None
        started = time.monotonic()
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it has not ended within {seconds} s: {self.tail()}") from None
        assert status in {0, -signal.SIGTERM}, f"it ended with {status}: {self.tail()}"  # as early as in its imports
        return time.monotonic() - started

    def failed(self) -> bool:
        """Whether it has ended in an error."""
        assert self._process is not None
        return bool(self._process.poll())

    def configure(self, **settings: str) -> None:
        """Settings of the next process."""
        self._env |= settings

    def signal(self, number: signal.Signals) -> None:
        """Any other signal; returns at once."""
        assert self._process is not None
        self._process.send_signal(number)  # of a dead one: nothing

    def alive(self) -> bool:
        """Whether it is the process that was started, and says that it lives."""
        assert self._process is not None
        return self._process.poll() is None and self.status("/livez") == 200

    def status(self, path: str) -> int:
        """The HTTP status of a path; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=15) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def resident_bytes(self) -> int:
        """Memory of the process, as the kernel counts it: what it holds now."""
        return _status_bytes(self.pid, "VmRSS")

    def peak_bytes(self) -> int:
        """The most it ever held."""
        return _status_bytes(self.pid, "VmHWM")

    def metric(self, name: str) -> float:
        """The sum over all labels."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=15) as response:
            lines = response.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{name}[{{ ]", line))

    def logged(self, event: str) -> int:
        """How often it has said that, over all its lives."""
        with self._reading:
            if self._log.exists():
                with self._log.open("rb") as log:
                    log.seek(self._read)
                    whole, end, _unfinished = log.read().rpartition(b"\n")
                self._read += len(whole) + len(end)
                self._said.update(_event(line) for line in whole.splitlines())
            return self._said[event]

    def lines(self) -> Iterator[Mapping[str, Any]]:
        """All that it has said, but for what a killed process left unfinished and what is no line of ours."""
        with self._log.open("rb") as log:
            for line in log:
                with contextlib.suppress(ValueError):
                    if isinstance(said := json.loads(line), dict):
                        yield said

    def tail(self) -> str:
        """The end of its log, for a failure's message."""
        return "\n".join(self._log.read_text("utf-8", "replace").splitlines()[-15:])


def _status_bytes(pid: int, field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def _event(line: bytes) -> str:
    """Of a line of the log; what a killed process left unfinished says nothing."""
    try:
        return str(json.loads(line)["event"])
    except (ValueError, KeyError, TypeError):
        return ""
