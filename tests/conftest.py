"""The real data sets, where there are some."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from bayesreg.datasets import Data, load


@pytest.fixture(scope="session")
def real() -> Callable[[str], Data]:
    """The real data set of a name, read once a session, or a skip where $BAYESREG_DATA does not hold it."""
    read: dict[str, Data] = {}

    def get(name: str) -> Data:
        if "BAYESREG_DATA" not in os.environ:
            pytest.skip("the real files are needed: set $BAYESREG_DATA")
        try:
            if name not in read:
                read[name] = load(name)
        except FileNotFoundError as error:
            pytest.skip(f"the real files are needed: {error}")
        return read[name]

    return get
