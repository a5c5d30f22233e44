"""The event list as the drill checks it: against the gateway's own sums, and against every change of a line."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drills.audit import check_chain
from drills.oracle import RevokeCall, judge
from drills.replies import GatewayEvent
from gateway.events import canonical, chain_hash


def chained(*datas: dict[str, Any]) -> list[GatewayEvent]:
    """Lines as a gateway writes them, from number 5 on, after a line that was not read."""
    previous, found = "f" * 64, []
    for number, data in enumerate(datas, 5):
        fields: dict[str, Any] = {
            "at": 1_700_000_000.25 + number, "replay_at": "2024-11-26T08:30:00-05:00", "kind": "job.queued",
            "actor": "admin", "accessor": "tok_1", "job": None,
        }  # fmt: skip
        previous = chain_hash(previous, **fields, data=canonical(data))
        found.append(GatewayEvent(seq=number, data=data, hash=previous, **fields))
    return found


WHOLE = chained({}, {"b": 2, "a": [1.5, None, True]}, {"text": "ä \u2028 <b>"}, {"n": 1e21})


def test_a_list_that_was_written_by_a_gateway_holds_together() -> None:
    chain = check_chain(WHOLE)
    assert chain is not None
    assert (chain.first, chain.last, chain.broken) == (5, 8, None)


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"kind": "job.started"}, 7),
        ({"at": 1.0}, 7),
        ({"data": {}}, 7),
        ({"accessor": None}, 7),
        ({"hash": "0" * 64}, 7),
    ],
)
def test_a_line_that_was_changed_is_named(change: dict[str, Any], broken: int) -> None:
    lines = [*WHOLE[:2], WHOLE[2].model_copy(update=change), WHOLE[3]]
    chain = check_chain(lines)
    assert chain is not None
    assert chain.broken == broken


@pytest.mark.parametrize(("order", "broken"), [([0, 1, 3], 8), ([0, 2, 1, 3], 7), ([0, 1, 1, 2], 6)])
def test_a_line_that_is_missing_or_moved_is_named(order: list[int], broken: int) -> None:
    chain = check_chain([WHOLE[place] for place in order])
    assert chain is not None
    assert chain.broken == broken


def test_what_bears_no_hashes_is_not_checked() -> None:
    assert check_chain([line.model_copy(update={"hash": None}) for line in WHOLE]) is None
    assert check_chain(WHOLE[:1]) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), min_size=2, max_size=4))
def test_whatever_a_line_holds_its_sum_is_the_gateways(datas: list[dict[str, Any]]) -> None:
    chain = check_chain(chained(*datas))
    assert chain is not None
    assert chain.broken is None


def test_a_broken_list_is_never_contained() -> None:
    revoke = RevokeCall(start=10, end=11, outcome="acknowledged", status=200)
    chain = check_chain([*WHOLE[:2], WHOLE[3]])
    found = judge([], revoke, leaked=set(), surfaces=[], jobs=[], chain=chain)
    assert found.verdict == "inconclusive"
    assert "I7: line 8 of the event list does not follow from the one before" in found.reasons
