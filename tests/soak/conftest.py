"""How long the long soak is: `make test-long ARGS="--minutes 5"`."""

from __future__ import annotations

import pytest


@pytest.fixture
def minutes(request: pytest.FixtureRequest) -> float:
    return float(request.config.getoption("--minutes"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A soak may take its time and some minutes more; others are ended after ten."""
    seconds = 60.0 * float(config.getoption("--minutes")) + 900.0
    for item in items:
        if item.name == "test_a_long_soak":
            item.add_marker(pytest.mark.timeout(seconds))
