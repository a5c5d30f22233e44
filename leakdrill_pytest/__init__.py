"""leakdrill in your own tests: a pytest plugin that is there wherever leakdrill and pytest are installed.

    def test_a_revoked_token_is_refused(leakdrill):
        token = leakdrill.issue()
        leakdrill.revoke(token)
        assert my_client(leakdrill.openai_base_url, token.token).is_refused()

A client of the gateway like any other: it starts `leakdrill up` and speaks HTTP. Loading it imports nothing that pytest
has not; everything else waits until a test asks for a gateway. `-p no:leakdrill_pytest` leaves it out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from leakdrill_pytest.options import Options

if TYPE_CHECKING:
    from leakdrill_pytest.gateway import ControlRefused, Gateway, Token
    from leakdrill_pytest.program import StartFailed

__all__ = ["ControlRefused", "Gateway", "Options", "StartFailed", "Token"]

_LATE = {
    "ControlRefused": "leakdrill_pytest.gateway",
    "Gateway": "leakdrill_pytest.gateway",
    "Token": "leakdrill_pytest.gateway",
    "StartFailed": "leakdrill_pytest.program",
}


def __getattr__(name: str) -> Any:
    """Names for annotations and `pytest.raises`; their modules cost an import of httpx, so they come when asked for."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATE[name]), name)


@pytest.fixture(scope="session")
def leakdrill_options() -> Options:
    """How the gateway is started. Define it again in a conftest.py, for the session, to change that."""
    return Options()


@pytest.fixture(scope="session")
def leakdrill_session(leakdrill_options: Options, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with workers that runs until the session ends, with what tests have left in it."""
    from leakdrill_pytest.gateway import Gateway
    from leakdrill_pytest.program import running

    with running(leakdrill_options, tmp_path_factory.mktemp("leakdrill")) as program, Gateway(program) as gateway:
        yield gateway


@pytest.fixture
def leakdrill(leakdrill_session: Gateway) -> Gateway:
    """The session's gateway as a clean room: no token, job, clip, fault, profile or clock of another test."""
    leakdrill_session.reset()
    return leakdrill_session
