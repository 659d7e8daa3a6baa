"""MiniStack as a child process: S3, Kinesis, DynamoDB, SNS, SQS, Glue and more behind one port.

It saves its state only when it ends on SIGTERM, so it must be stopped last, and with patience.
"""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import aiohttp

from deploy.local import child
from headrace.errors import UnavailableError

READY_SECONDS = 30.0
STOP_SECONDS = 60.0
"""Saving 154 MB took 4 s; a long poll that is still open can add 20 s."""

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
"""Any will do; a fixed account comes out of them."""


def environment(port: int, data: Path | None = None) -> dict[str, str]:
    """What MiniStack reads from its environment. Without `data` it keeps nothing."""
    settings = {
        **CREDENTIALS,
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": "unix:///nonexistent",  # else it looks for an engine and reaps its containers
        "LOG_LEVEL": "WARNING",
    }
    if data is not None:
        settings |= {
            "PERSIST_STATE": "1",
            "STATE_DIR": str(data / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(data / "s3"),
        }
    return settings


class Emulator:
    """One MiniStack process. `start`, then `url`; `stop` saves what it holds under `data`.

    `lock`: an open file that locks `data`, inherited so that the folder stays locked until all is saved.
    """

    def __init__(self, port: int, data: Path | None = None, lock: int | None = None) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._data = data
        self._lock = lock
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Start and wait until it answers. Raises `UnavailableError` when it does not."""
        self._process = await asyncio.create_subprocess_exec(
            *child.command("ministack", when_orphaned=signal.SIGTERM),
            env={**os.environ, **environment(self.port, self._data)},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=None if self._data is None else self._log(),
            pass_fds=() if self._lock is None else (self._lock,),
            start_new_session=True,  # a Ctrl-C on the terminal must reach it last, from us
        )  # fmt: skip
        deadline = time.monotonic() + READY_SECONDS
        async with aiohttp.ClientSession() as http:
            while not await self._answers(http):
                if self._process.returncode is not None:
                    raise UnavailableError(
                        f"the local cloud ended with status {self._process.returncode} while starting"
                    )
                if time.monotonic() > deadline:
                    await self.stop()
                    raise UnavailableError(f"the local cloud did not answer within {READY_SECONDS:.0f} s")
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """SIGTERM, and wait until the state is saved."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def kill(self) -> None:
        """End it at once: what was not saved is lost."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)

    async def wait(self) -> int:
        """The exit status, once it ended by itself."""
        if self._process is None:
            raise RuntimeError("not started")
        return await self._process.wait()

    async def _answers(self, http: aiohttp.ClientSession) -> bool:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with http.get(f"{self.url}/_ministack/ready", timeout=aiohttp.ClientTimeout(total=2)) as response:
                return response.status == 200  # noqa: PLR2004 - HTTP OK
        return False

    def _log(self) -> int:
        assert self._data is not None
        self._data.mkdir(parents=True, exist_ok=True)
        return os.open(self._data / "emulator.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
