"""The gateway's tests run on each store. What is marked `sqlite_alone` does not: for what it tests, rows are rows."""

from __future__ import annotations

import pytest

STORES = ("sqlite", "postgresql")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    named = [one.args[0] for one in metafunc.definition.iter_markers("parametrize")]
    if "database_url" in metafunc.fixturenames and "database_url" not in named:
        alone = metafunc.definition.get_closest_marker("sqlite_alone") is not None
        metafunc.parametrize("database_url", STORES[:1] if alone else STORES, indirect=True)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """What LEAKDRILL_DATABASE_URL is, by store."""
    url: str = request.getfixturevalue("postgres_database") if request.param == "postgresql" else ""
    return url
