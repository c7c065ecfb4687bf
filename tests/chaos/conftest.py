"""What the tests here share: an undisturbed comparison, which the disturbed ones must equal."""

import pytest
from comparison import MINE, contents, finish, start


@pytest.fixture(scope="session")
def done(tmp_path_factory):
    """The place of a comparison that nothing has disturbed."""
    place = tmp_path_factory.mktemp("undisturbed")
    (place / "mine.py").write_text(MINE)
    finish(start(place))
    return place


@pytest.fixture(scope="session")
def undisturbed(done):
    """The contents of its folder of runs."""
    return contents(done / "runs")


@pytest.fixture
def place(tmp_path):
    """A folder with the file that defines the task."""
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path
