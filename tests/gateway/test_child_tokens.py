"""Tokens that tokens mint: less than their parent, no longer than it, and gone with it. And the mint freeze."""

import asyncio
from typing import Any

import httpx
import pytest

from desk import Desk, bearer_of
from gateway.store import tokens as rows
from tampering import raw, refusing, statements

pytestmark = pytest.mark.anyio

ALL = ["videos:read", "videos:write", "tokens:mint"]


async def mint(desk: Desk, parent: dict[str, Any], **body: Any) -> httpx.Response:
    return await desk.http.post("/v1/tokens", json=body, headers=bearer_of(parent))


async def child_of(desk: Desk, parent: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = await mint(desk, parent, **body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def seen(desk: Desk, token: dict[str, Any]) -> int:
    return (await desk.http.get("/v1/videos", headers=bearer_of(token))).status_code


async def moved(desk: Desk, token: dict[str, Any], state: str) -> None:
    path = f"/control/tokens/{token['accessor']}"
    assert (await desk.http.patch(path, json={"state": state}, headers=desk.admin)).status_code == 200


async def state_of(desk: Desk, token: dict[str, Any]) -> str:
    return str((await desk.http.get(f"/control/tokens/{token['accessor']}", headers=desk.admin)).json()["state"])


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def family(desk: Desk) -> list[dict[str, Any]]:
    """A token and three generations below it."""
    line = [await desk.issue(scopes=ALL)]
    line.append(await child_of(desk, line[0], scopes=ALL))
    line.append(await child_of(desk, line[1], scopes=ALL))
    line.append(await child_of(desk, line[2], scopes=ALL[:2]))
    return line


async def test_a_child_has_its_parents_name_and_less_of_everything_else(desk: Desk) -> None:
    parent = await desk.issue("artist-7", "beta", scopes=ALL, expires_in=600, tier="partner")
    child = await child_of(desk, parent, labels=["space"], expires_in=3600)
    assert set(child) == set(parent)
    assert {name: child[name] for name in ("principal", "cohort", "tier", "parent", "labels", "scopes")} == {
        "principal": "artist-7",
        "cohort": "beta",
        "tier": "partner",
        "parent": parent["accessor"],
        "labels": ["space"],
        "scopes": ALL[:2],
    }
    assert child["expires_at"] == parent["expires_at"]
    assert parent["parent"] is None
    short = await child_of(desk, parent, scopes=["videos:read"], expires_in=60)
    assert short["expires_at"] == desk.clock.now() + 60
    assert (await desk.create(bearer_of(child)))["status"] == "queued"
    refused = await desk.http.post("/v1/videos", json={"prompt": "x"}, headers=bearer_of(short))
    assert code(refused) == (403, "insufficient_scope")
    # A child's videos are its own.
    assert (await desk.http.get("/v1/videos", headers=bearer_of(parent))).json()["data"] == []
    issued = [event for event in await desk.events("token.issued") if event["data"].get("parent")]
    assert [event["data"]["parent"] for event in issued] == [parent["accessor"]] * 2
    assert child["token"] not in str(await desk.events())


async def test_only_a_token_with_the_scope_mints_and_only_what_it_has(desk: Desk) -> None:
    plain = await desk.issue()
    assert plain["scopes"] == ALL[:2]
    assert code(await mint(desk, plain)) == (403, "insufficient_scope")
    reader = await desk.issue(scopes=["videos:read", "tokens:mint"])
    assert code(await mint(desk, reader, scopes=["videos:write"])) == (400, "invalid_scope")
    only = await desk.issue(scopes=["tokens:mint"])
    assert code(await mint(desk, only)) == (400, "invalid_scope")
    assert code(await mint(desk, reader, scopes=["admin"])) == (422, "invalid_value")
    assert code(await mint(desk, reader, principal="somebody")) == (422, "invalid_value")
    await moved(desk, reader, "quarantined")
    assert code(await mint(desk, reader)) == (403, "insufficient_scope")


async def test_minting_ends_three_generations_down(desk: Desk) -> None:
    line = await family(desk)
    assert code(await mint(desk, line[2], scopes=ALL)) == (400, "invalid_scope")
    assert code(await mint(desk, line[3])) == (403, "insufficient_scope")
    assert [await seen(desk, one) for one in line] == [200] * 4


async def test_a_token_has_at_most_so_many_children(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.tokens.minting.MAX_CHILDREN", 2)
    parent = await desk.issue(scopes=ALL)
    first = await child_of(desk, parent)
    await child_of(desk, parent)
    assert code(await mint(desk, parent)) == (409, "too_many_tokens")
    await desk.revoke({"accessor": first["accessor"]})
    await child_of(desk, parent)


@pytest.mark.parametrize("at", [0, 1, 2])
async def test_a_revocation_takes_the_whole_tree_and_nothing_above_it(desk: Desk, at: int) -> None:
    line = await family(desk)
    videos = [(await desk.create(bearer_of(one)))["id"] for one in line]
    bystander = await desk.issue("p1", "partner")
    body = {"selector": {"accessor": line[at]["accessor"]}}
    preview = (await desk.http.post("/control/revocations/preview", json=body, headers=desk.admin)).json()
    done = (await desk.revoke({"accessor": line[at]["accessor"]})).json()
    gone = 4 - at
    assert preview["tokens"] == done["tokens"] == gone
    assert preview["children"] == done["children"] == gone - (at == 0)
    assert preview["jobs"] == done["jobs"] == {"queued": gone, "running": 0}
    assert preview["bystanders"] == at + 1
    assert {(item["accessor"], item["outcome"]) for item in done["items"]} == {
        (one["accessor"], "revoked") for one in line[at:]
    }
    assert [await seen(desk, one) for one in line] == [200] * at + [401] * gone
    assert await seen(desk, bystander) == 200
    shown = [
        (await desk.http.get(f"/control/tokens/{one['accessor']}", headers=desk.admin)).json() for one in line[at:]
    ]
    assert {one["revocation"] for one in shown} == {done["id"]}
    left = [job.id for _ in videos if (job := await desk.claim()) is not None]
    assert left == videos[:at]


async def test_a_suspended_parent_suspends_use_and_brings_it_back(desk: Desk) -> None:
    line = await family(desk)
    await desk.create(bearer_of(line[3]))
    for state, status in [("suspended", 401), ("active", 200), ("quarantined", 200), ("active", 200)]:
        await moved(desk, line[0], state)
        assert [await seen(desk, one) for one in line] == [status] * 4, state
        writes = [
            (await desk.http.post("/v1/videos", json={"prompt": "x"}, headers=bearer_of(one))).status_code
            for one in line
        ]
        assert set(writes) == {{"suspended": 401, "quarantined": 403, "active": 200}[state]}
        assert [await state_of(desk, one) for one in line[1:]] == ["active"] * 3, "the rows stay as they are"
        answer = await desk.http.post("/oauth/introspect", data={"token": line[3]["token"]}, headers=desk.admin)
        assert answer.json()["active"] is (state != "suspended")
        if state == "suspended":
            assert await desk.claim() is None, "what waits is not claimed meanwhile"
    assert (await desk.claimed()).status == "in_progress"


async def test_an_expired_parent_ends_a_child_whose_row_says_otherwise(desk: Desk) -> None:
    parent = await desk.issue(scopes=ALL, expires_in=60)
    child = await child_of(desk, parent)
    raw(desk, "UPDATE tokens SET expires_at = NULL WHERE accessor = :it", it=child["accessor"])
    assert await seen(desk, child) == 200
    desk.clock.advance(60)
    assert await seen(desk, child) == 401


@pytest.mark.parametrize("how", ["revoked", "forgotten", "in a circle"])
async def test_the_check_itself_reads_the_row_above(desk: Desk, how: str) -> None:
    """Whatever became of the child's own row."""
    parent = await desk.issue(scopes=ALL)
    child = await child_of(desk, parent)
    if how == "revoked":
        raw(desk, "UPDATE tokens SET state = 'revoked' WHERE accessor = :it", it=parent["accessor"])
    elif how == "forgotten":
        raw(desk, "DELETE FROM tokens WHERE accessor = :it", it=parent["accessor"], heedless=True)
    else:
        change = "UPDATE tokens SET parent = :above WHERE accessor = :it"
        raw(desk, change, above=child["accessor"], it=parent["accessor"])
    assert await seen(desk, child) == 401


@pytest.mark.sqlite_alone
async def test_a_token_without_a_parent_costs_one_look_up(desk: Desk) -> None:
    parent = await desk.issue(scopes=ALL)
    child = await child_of(desk, parent)
    with statements(desk, "reader", "writer") as asked:
        assert await seen(desk, parent) == 200
        alone = [sql for sql in asked if "FROM tokens" in sql]
        asked.clear()
        assert await seen(desk, child) == 200
    assert (len(alone), len([sql for sql in asked if "FROM tokens" in sql])) == (1, 2)


async def test_minting_throughout_a_bulk_revocation_leaves_no_survivor(desk: Desk) -> None:
    parents = [await desk.issue(f"a{number}", scopes=ALL) for number in range(8)]
    minted: list[dict[str, Any]] = []
    refused: list[int] = []

    async def minting(parent: dict[str, Any]) -> None:
        while True:
            answer = await mint(desk, parent, scopes=ALL)
            if answer.status_code != 201:
                refused.append(answer.status_code)
                return
            minted.append(answer.json())
            if len(minted) % 5 == 0:  # and children of children
                deeper = await mint(desk, minted[-1])
                if deeper.status_code == 201:
                    minted.append(deeper.json())

    loops = [asyncio.create_task(minting(parent)) for parent in parents for _ in range(2)]
    while len(minted) < 60:
        await asyncio.sleep(0)
    assert (await desk.revoke({"cohort": "alpha"})).status_code == 200
    await asyncio.gather(*loops)
    assert refused == [401] * len(loops)
    assert {await seen(desk, one) for one in (*parents, *minted)} == {401}
    assert raw(desk, "SELECT count(*) FROM tokens WHERE state <> 'revoked'") == [(0,)]


async def test_a_revocation_that_cannot_be_recorded_leaves_the_children(desk: Desk) -> None:
    line = await family(desk)
    with refusing(desk, "INSERT", "events"):
        assert (await desk.revoke({"accessor": line[0]["accessor"]})).status_code in (500, 503)
    assert [await seen(desk, one) for one in line] == [200] * 4


async def test_the_depth_of_a_line_is_counted(desk: Desk) -> None:
    line = await family(desk)

    def depths(tx: Any) -> list[int]:
        found = [rows.own_row(tx, one["accessor"]) for one in line]
        return [rows.depth(tx, token) for token in found if token is not None]

    assert await desk.store.read(depths) == [0, 1, 2, 3]


async def put_mint(desk: Desk, **body: Any) -> dict[str, Any]:
    answer = await desk.http.put("/control/mint", json=body, headers=desk.admin)
    assert answer.status_code == 200, answer.text
    state: dict[str, Any] = answer.json()
    return state


async def issue_status(desk: Desk, *scopes: str) -> tuple[int, str | None, str | None]:
    body = {"principal": "p", "cohort": "c", "scopes": list(scopes)}
    answer = await desk.http.post("/control/tokens", json=body, headers=desk.admin)
    wrong = answer.json().get("error", {}).get("code")
    return answer.status_code, wrong, answer.headers.get("x-should-retry")


async def test_a_freeze_stops_everybody_who_issues_until_it_thaws(desk: Desk) -> None:
    parent = await desk.issue(scopes=ALL)
    assert (await desk.http.get("/control/mint", headers=desk.admin)).json()["frozen"] is False
    state = await put_mint(desk, frozen=True)
    assert state == {"frozen": True, "scopes": None, "since": desk.clock.now()}
    assert (await desk.http.get("/control/mint", headers=desk.admin)).json() == state
    assert await issue_status(desk, "videos:read") == (409, "minting_frozen", "false")
    refused = await mint(desk, parent)
    assert (code(refused), refused.headers["x-should-retry"]) == ((409, "minting_frozen"), "false")
    assert await seen(desk, parent) == 200, "what is issued stays good"
    desk.clock.advance(5)
    assert await put_mint(desk, frozen=True) == state, "again changes nothing"
    assert (await put_mint(desk, frozen=False))["frozen"] is False
    assert (await issue_status(desk, "videos:read"))[0] == 201
    await child_of(desk, parent)
    kinds = [(event["kind"], event["data"]["scopes"]) for event in await desk.events("mint.")]
    assert kinds == [("mint.frozen", ["*"]), ("mint.thawed", ["*"])]


async def test_a_freeze_of_some_scopes_lets_others_through(desk: Desk) -> None:
    parent = await desk.issue(scopes=ALL)
    assert (await put_mint(desk, frozen=True, scopes=["videos:write"]))["scopes"] == ["videos:write"]
    assert (await issue_status(desk, "videos:read"))[0] == 201
    assert (await issue_status(desk, "videos:read", "videos:write"))[:2] == (409, "minting_frozen")
    await child_of(desk, parent, scopes=["videos:read"])
    assert code(await mint(desk, parent)) == (409, "minting_frozen")
    await put_mint(desk, frozen=True, scopes=["tokens:mint"])
    await child_of(desk, parent)
    assert code(await mint(desk, parent, scopes=ALL)) == (409, "minting_frozen")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"frozen": "yes"},
        {"frozen": True, "scopes": []},
        {"frozen": True, "scopes": ["x"]},
        {"frozen": False, "scopes": ["videos:read"]},
    ],
)
async def test_a_freeze_that_does_not_make_sense(desk: Desk, body: dict[str, Any]) -> None:
    answer = await desk.http.put("/control/mint", json=body, headers=desk.admin)
    assert code(answer) == (422, "invalid_value")
    assert (await issue_status(desk, "videos:read"))[0] == 201


async def test_a_freeze_is_the_admins_and_a_reset_lifts_it(desk: Desk) -> None:
    parent = await desk.issue(scopes=ALL)
    answer = await desk.http.put("/control/mint", json={"frozen": True}, headers=bearer_of(parent))
    assert code(answer) == (401, "invalid_api_key")
    await put_mint(desk, frozen=True)
    await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
    assert (await issue_status(desk, "videos:read"))[0] == 201
