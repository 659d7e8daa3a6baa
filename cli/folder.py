"""The data folder (`.headrace/`): who holds it now, where the running cloud answers, and what survives between runs.

| file | |
|---|---|
| `state/`, `s3/` | the local cloud's own |
| `lock` | locked by whoever runs a cloud on the folder; says who |
| `cloud.json` | while `headrace up` runs: addresses and process ids |
| `anonymous.key` | made once; the key behind `anon-…` users |
"""

import contextlib
import fcntl
import os
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from headrace.errors import ConflictError

SAVE_SECONDS = 60.0
"""How long an emulator whose command was killed may take to save its state."""
LOCK_POLL_SECONDS = 0.1


class Cloud(msgspec.Struct, frozen=True, kw_only=True):
    """A running local cloud."""

    pid: int
    """Of the command that runs it."""
    aws: str
    athena: str
    region: str
    services: dict[str, str] = {}
    """Base address by service."""
    pids: dict[str, int] = {}
    """As they were when all became ready; a restart changes them."""


class DataFolder:
    """One data folder."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @property
    def used(self) -> bool:
        """Whether a local cloud has saved anything here."""
        return (self.path / "state").is_dir()

    @contextlib.contextmanager
    def hold(self) -> Iterator[int]:
        """Be the only one who runs a cloud here; yields the lock's file, for the emulator to keep open as well.

        Waits for an emulator that is still saving what a killed command left. Raises `ConflictError` that says who
        holds the folder.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("a+", encoding="utf-8") as lock:
            started = time.monotonic()
            while not _lock(lock.fileno()):
                lock.seek(0)
                holder = _Holder.parse(lock.read())
                if _alive(holder.pid) or time.monotonic() - started > SAVE_SECONDS:
                    who = f"`{holder.command}` (pid {holder.pid})"
                    raise ConflictError(f"{self.path} is in use by {who}: stop it, or choose another --data")
                time.sleep(LOCK_POLL_SECONDS)
            lock.truncate(0)
            lock.write(f"{os.getpid()} {' '.join(['headrace', *sys.argv[1:]])}\n")
            lock.flush()
            yield lock.fileno()

    def announce(self, cloud: Cloud) -> None:
        """Tell other commands on this folder where the cloud answers."""
        draft = self.path / "cloud.json.new"
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(cloud)))
        draft.replace(self.path / "cloud.json")

    def retract(self) -> None:
        """The cloud is going away."""
        (self.path / "cloud.json").unlink(missing_ok=True)

    def running(self) -> Cloud | None:
        """The cloud announced here whose process is alive."""
        try:
            cloud = msgspec.json.decode((self.path / "cloud.json").read_bytes(), type=Cloud)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        return cloud if _alive(cloud.pid) else None

    def anonymous_key(self) -> str:
        """The folder's own random key, made on first use."""
        path = self.path / "anonymous.key"
        with contextlib.suppress(FileNotFoundError):
            return path.read_text(encoding="ascii").strip()
        key = secrets.token_hex(32)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key + "\n")
        return key


class _Holder(NamedTuple):
    pid: int
    command: str

    @classmethod
    def parse(cls, text: str) -> "_Holder":
        pid, _, command = text.strip().partition(" ")
        return cls(int(pid) if pid.isdecimal() else 0, command or "headrace")


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
