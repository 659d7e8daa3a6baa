import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.folder import Cloud, DataFolder
from headrace.errors import ConflictError

HOLD = """
import sys
from pathlib import Path
from cli.folder import DataFolder
sys.argv = ["headrace", "up", "--seed", "1"]
with DataFolder(Path({path!r})).hold():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD.format(path=str(tmp_path))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def cloud(pid: int) -> Cloud:
    return Cloud(pid=pid, aws="http://127.0.0.1:1", athena="http://127.0.0.1:2", region="us-east-1")


def test_a_second_holder_is_refused_and_told_who_is_first(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    with (
        pytest.raises(ConflictError, match=rf"in use by `headrace up --seed 1` \(pid {holder.pid}\)"),
        DataFolder(tmp_path).hold(),
    ):
        raise AssertionError("held twice")


def test_the_folder_is_free_again_after_its_holder_was_killed(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.kill()
    holder.wait()
    with DataFolder(tmp_path).hold():
        pass


def test_an_announced_cloud_is_found_until_it_is_retracted(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    folder = DataFolder(tmp_path)
    assert folder.running() is None
    folder.announce(cloud(holder.pid))
    assert folder.running() == cloud(holder.pid)
    folder.retract()
    assert folder.running() is None
    folder.retract()


def test_what_a_dead_process_announced_is_ignored(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    folder = DataFolder(tmp_path)
    folder.announce(cloud(holder.pid))
    holder.kill()
    holder.wait()
    assert folder.running() is None


def test_a_broken_announcement_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "cloud.json").write_text('{"pid": 1, "aws"')
    assert DataFolder(tmp_path).running() is None


def test_the_anonymous_key_is_random_private_and_kept(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    key = DataFolder(tmp_path / "a").anonymous_key()
    assert len(key) == 64
    assert DataFolder(tmp_path / "a").anonymous_key() == key
    assert DataFolder(tmp_path / "b").anonymous_key() != key
    assert (tmp_path / "a" / "anonymous.key").stat().st_mode & 0o777 == 0o600
