"""`python -m deploy.local.setup [--shards 2]`: create what the services need in the cloud that the environment names.

Wants an emulator and an Athena endpoint that answer. What is there stays as it is. Ends with 0, 1 when something did
not become active, 2 when the settings are wrong.
"""

import argparse
import asyncio
import sys

from deploy.local.resources import ensure_resources, ensure_workgroup
from headrace.aws.session import AwsSession
from headrace.errors import ConfigError, HeadraceError
from headrace.settings import Settings, load


async def set_up(settings: Settings, shards: int) -> None:
    """Create all that is missing. Raises `UnavailableError` when something does not become active."""
    async with AwsSession(settings.region) as aws:
        await ensure_resources(aws, settings, shards=shards)
        await ensure_workgroup(aws, settings)


def main() -> int:
    """Read the command line, create, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.setup", description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=2, help="of the stream, when it is first made")
    shards = parser.parse_args().shards
    try:
        asyncio.run(set_up(load(), shards))
    except HeadraceError as error:
        sys.stderr.write(f"setup: {error}\n")
        return 2 if isinstance(error, ConfigError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
