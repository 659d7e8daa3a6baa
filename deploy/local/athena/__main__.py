"""`python -m deploy.local.athena --port 4567`: the endpoint as a process. Ends with 0 on SIGTERM or SIGINT.

Wants `AWS_ENDPOINT_URL` (the emulator with Glue, S3 and workgroups) and credentials in its environment, and listens on
`HEADRACE_HOST`. `GET /health` answers 200 as soon as calls are taken; the first ones wait until the engine has been
imported.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys

from aiohttp import web

from deploy.local.athena.server import Operations, application
from headrace.telemetry import log


def open_api(stack: contextlib.ExitStack, region: str, endpoint: str) -> Operations:
    """Import and wire the engine; blocks for seconds."""
    from deploy.local.athena.backend import athena  # noqa: PLC0415 - the socket is open before this begins

    return stack.enter_context(athena(region, endpoint))


async def serve(host: str, port: int, region: str, endpoint: str) -> None:
    """Serve until told to stop."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    with contextlib.ExitStack() as stack:
        api = asyncio.create_task(asyncio.to_thread(open_api, stack, region, endpoint))
        runner = web.AppRunner(application(api), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            log.get_logger().info("athena.listening", port=port)
            await api
            await stopped.wait()
        finally:
            await runner.cleanup()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.athena", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=4567)
    port = parser.parse_args().port
    log.configure("athena", level=os.environ.get("HEADRACE_LOG_LEVEL", "INFO"))
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint:
        sys.stderr.write("athena: AWS_ENDPOINT_URL must name the emulator\n")
        sys.exit(2)
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    host = os.environ.get("HEADRACE_HOST") or "127.0.0.1"
    asyncio.run(serve(host, port, region, endpoint))


if __name__ == "__main__":
    main()
