"""What the tests here share: an undisturbed comparison, which the disturbed ones must equal."""

import pytest
from comparison import MINE, contents, finish, start


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The contents of a folder of runs that nothing has disturbed."""
    place = tmp_path_factory.mktemp("undisturbed")
    (place / "mine.py").write_text(MINE)
    finish(start(place))
    return contents(place / "runs")


@pytest.fixture
def place(tmp_path):
    """A folder with the file that defines the task."""
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path
