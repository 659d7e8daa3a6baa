"""Where the real files are: beside the repository, in `../shared/data`."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real files."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.fail(f"the real files are not there: {folder} is no folder", pytrace=False)
    return folder
