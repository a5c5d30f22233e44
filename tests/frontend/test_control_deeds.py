"""What an instructor does and sees, over HTTP and against a real gateway with a worker."""

from __future__ import annotations

import csv
import io
import json
import random
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from control_desk import Instructor, Serve, control_app, deeds, events
from frontend.tokens import PageTokens
from live import Live, eventually

WORKERS = 1
HOSTILE = '<script>alert(1)</script> "quoted" ‮ 🎬'


def call(live: Live, method: str, path: str, token: str, **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
    return httpx.request(method, live.url + path, headers=headers, trust_env=False, **options)


def order(live: Live, token: str, prompt: str = "a dog", seconds: str = "1") -> dict[str, Any]:
    body = {"model": "turbo", "prompt": prompt, "seconds": seconds, "size": "480x480"}
    answer = call(live, "POST", "/v1/videos", token, json=body)
    assert answer.status_code == 200, answer.text
    video: dict[str, Any] = answer.json()
    return video


def lines(instructor: Instructor) -> dict[str, dict[str, str]]:
    return {line["surface"]: line for line in instructor.state()["checklist"]}


def logged(instructor: Instructor, number: int) -> dict[str, Any]:
    """The state once the log has so many lines."""
    return eventually(lambda: [one for one in [instructor.state()] if len(one["log"]) >= number])[0]


def test_a_revocation_is_previewed_exactly_done_once_and_told(zoe: Instructor, clean: Live) -> None:
    testers = [clean.issue(f"tester-{n}", "alpha")["token"] for n in range(3)]
    press = [clean.issue(f"press-{n}", "press")["token"] for n in range(2)]
    before = deeds(clean)
    preview = zoe.done("preview", kind="cohort", which="alpha")
    assert (preview["tokens"], preview["bystanders"], len(preview["items"])) == (3, 2, 3)
    assert "ends 3 tokens" in preview["words"]
    assert "Bystanders: 2 tokens outside this selection stay good." in preview["words"]
    assert deeds(clean) == before

    done = zoe.done("revoke", kind="cohort", which="alpha", reason=HOSTILE)
    assert done["words"].startswith("Revoked 3 tokens of cohort alpha; stopped 0 waiting and 0 running jobs.")
    (applied,) = events(clean, "revocation.applied")
    assert (applied["actor"], applied["data"]["reason"]) == ("admin (Zoë)", HOSTILE)
    assert [call(clean, "GET", "/v1/videos", token).status_code for token in testers] == [401, 401, 401]
    assert [call(clean, "GET", "/v1/videos", token).status_code for token in press] == [200, 200]
    again = zoe.done("revoke", kind="cohort", which="alpha", reason="again")
    assert "Revoked 0 tokens" in again["words"]
    assert "3 already were revoked" in again["words"]


def test_one_token_and_one_person_can_be_revoked(zoe: Instructor, clean: Live) -> None:
    first, second = clean.issue("tester-1"), clean.issue("tester-2")
    choices = zoe.get("/control/choices").json()
    assert {one["value"] for one in choices["accessor"]} == {first["accessor"], second["accessor"]}
    assert [one["words"] for one in choices["principal"]] == ["tester-1 · 1 token", "tester-2 · 1 token"]
    zoe.done("revoke", kind="accessor", which=first["accessor"], reason="one")
    assert call(clean, "GET", "/v1/videos", second["token"]).status_code == 200
    zoe.done("revoke", kind="principal", which="tester-2", reason="one")
    assert call(clean, "GET", "/v1/videos", second["token"]).status_code == 401


def offered(instructor: Instructor, kind: str, left: str) -> list[str]:
    """Who is offered for a deed that needs something left: `ends` for Revoke, `returns` for Restore."""
    return [one["words"] for one in instructor.get("/control/choices").json()[kind] if one[left]]


def test_who_has_nothing_left_is_offered_no_more(zoe: Instructor, clean: Live) -> None:
    first, second = clean.issue("tester-1"), clean.issue("tester-2")
    clean.issue("tester-2")
    press = clean.issue("reporter", "press")
    for one in (first, second, press):
        zoe.done("revoke", kind="accessor", which=one["accessor"], reason="one")
    assert len(offered(zoe, "accessor", "ends")) == 1
    assert offered(zoe, "principal", "ends") == ["tester-2 · 2 tokens, 1 revoked"]
    assert offered(zoe, "cohort", "ends") == ["alpha · 3 tokens, 2 revoked"]
    assert [offered(zoe, kind, "returns") for kind in ("accessor", "principal", "cohort")] == [[], [], []]
    zoe.done("revoke", kind="cohort", which="alpha", reason="the rest")
    assert [offered(zoe, kind, "ends") for kind in ("accessor", "principal", "cohort")] == [[], [], []]


def test_everybody_needs_the_second_word(zoe: Instructor, clean: Live) -> None:
    token = clean.issue()["token"]
    assert zoe.done("preview", kind="all")["tokens"] == 1
    refused = zoe.do("revoke", kind="all", reason="drill")
    assert (refused.status_code, refused.json()["ok"]) == (400, False)
    assert "every token" in refused.json()["words"]
    assert zoe.do("revoke", kind="all", reason="drill", confirm="yes").status_code == 400
    assert call(clean, "GET", "/v1/videos", token).status_code == 200
    zoe.done("revoke", kind="all", reason="drill", confirm="all")
    assert call(clean, "GET", "/v1/videos", token).status_code == 401
    eventually(lambda: zoe.state()["phase"] == "revoked")


@pytest.mark.parametrize(
    ("deed", "fields"),
    [
        ("revoke", {"kind": "accessor", "which": "tok_nobody", "reason": "x"}),
        ("revoke", {"kind": "token", "which": "ldk_x", "reason": "x"}),
        ("revoke", {"kind": "cohort", "which": "", "reason": "x"}),
        ("revoke", {"kind": "cohort", "which": "alpha", "reason": ""}),
        ("revoke", {"kind": "cohort", "which": ["alpha"], "reason": "x"}),
        ("revoke", {}),
        ("preview", {"kind": "cohort", "which": "nobody"}),
        ("restore", {"kind": "accessor", "which": "tok_nobody", "reason": "x"}),
        ("restore-preview", {"kind": "cohort", "which": "nobody"}),
        ("restore-preview", {"kind": "accessor", "which": "../state"}),
        ("clock", {"do": "start", "speed": 15}),
        ("clock", {"do": "start"}),
        ("clock", {"do": "stop"}),
        ("clock", {"do": ["start"], "speed": 14}),
        ("clock", {"do": "pause"}),
        ("phase", {"phase": "revoked"}),
        ("phase", {"phase": ["exposed"]}),
        ("broadcast", {"text": "x" * 301}),
        ("broadcast", {"text": None}),
        ("broadcast", {"text": "\ud800"}),
        ("reset", {}),
        ("reset", {"confirm": "yes"}),
    ],
)
def test_what_cannot_be_done_is_refused_in_words_and_changes_nothing(
    zoe: Instructor, clean: Live, deed: str, fields: dict[str, Any]
) -> None:
    clean.issue()
    before = deeds(clean)
    answer = zoe.do(deed, **fields)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["ok"] is False
    assert len(answer.json()["words"]) > 10
    assert deeds(clean) == before


def test_suspended_tokens_come_back_and_revoked_ones_do_not(zoe: Instructor, clean: Live) -> None:
    tokens = [clean.issue(f"tester-{n}") for n in range(3)]
    for one in tokens[:2]:
        clean.control("PATCH", f"/control/tokens/{one['accessor']}", json={"state": "suspended"})
    zoe.done("revoke", kind="accessor", which=tokens[2]["accessor"], reason="drill")
    returning = {one["value"]: one["returns"] for one in zoe.get("/control/choices").json()["accessor"]}
    assert [returning[one["accessor"]] for one in tokens] == [True, True, False]
    preview = zoe.done("restore-preview", kind="cohort", which="alpha")
    assert preview["tokens"] == 2
    assert "1 revoked stay revoked" in preview["words"]
    one = zoe.done("restore", kind="accessor", which=tokens[0]["accessor"], reason="false alarm")
    assert one["words"].startswith("Restored 1 token;")
    assert call(clean, "GET", "/v1/videos", tokens[0]["token"]).status_code == 200
    assert zoe.do("restore", kind="all", reason="false alarm").status_code == 400
    zoe.done("restore", kind="all", reason="false alarm", confirm="all")
    states = eventually(
        lambda: [call(clean, "GET", "/v1/videos", one["token"]).status_code for one in tokens] == [200, 200, 401]
    )
    assert states
    assert {event["actor"] for event in events(clean, "restoration.started")} == {"admin (Zoë)"}


def test_the_clock_is_started_paused_resumed_and_sped_up(zoe: Instructor, clean: Live) -> None:
    assert "08:30 and runs ×14" in zoe.done("clock", do="start", speed=14)["words"]
    assert "is paused" in zoe.done("clock", do="pause")["words"]
    state = eventually(lambda: [one for one in [zoe.state()] if one["has_clock"]])[0]
    assert (state["running"], "paused" in state["clock"]) == (False, True)
    assert "is paused" in zoe.done("clock", do="speed", speed=42)["words"]
    assert "runs ×42" in zoe.done("clock", do="resume")["words"]
    assert [event["actor"] for event in events(clean, "clock.set")[-4:]] == ["admin (Zoë)"] * 4


def test_two_instructors_and_the_projector_see_what_either_does(
    log_in: Callable[[str], Instructor], clean: Live
) -> None:
    zoe, adam = log_in("Zoë"), log_in("Adam")
    zoe.done("phase", phase="exposed")
    adam.done("broadcast", text=HOSTILE)
    for one in (zoe, adam):
        state = logged(one, 3)
        assert [(line["actor"], line["words"]) for line in state["log"][:2]] == [
            ("admin (Adam)", f"Broadcast: {HOSTILE}"),
            ("admin (Zoë)", "Phase: Open to everyone"),
        ]
        assert (state["phase"], state["broadcast"]) == ("exposed", HOSTILE)
    assert (zoe.state()["me"], adam.state()["me"]) == ("Zoë", "Adam")
    assert adam.state("/control/projector/state")["broadcast"] == HOSTILE
    adam.done("broadcast", text="  ")
    eventually(lambda: zoe.state()["broadcast"] == "")


def test_the_checklist_fills_itself_from_what_clients_meet(zoe: Instructor, clean: Live) -> None:
    token = clean.issue("tester-secret-name", "alpha")["token"]
    video = order(clean, token)["id"]
    eventually(lambda: call(clean, "GET", f"/v1/videos/{video}", token).json()["status"] == "completed", within=60)
    link = call(clean, "POST", f"/v1/videos/{video}/link", token).json()["url"]
    assert zoe.state()["checklist"] == []
    zoe.done("revoke", kind="cohort", which="alpha", reason="reason-of-the-room")
    before = eventually(lambda: lines(zoe))
    assert {line["state"] for line in before.values()} == {"not checked"}
    call(clean, "POST", "/v1/videos", token, json={"prompt": "again"})
    call(clean, "GET", f"/v1/videos/{video}", token)
    call(clean, "GET", f"/v1/videos/{video}/content", token)
    assert httpx.get(link, trust_env=False).status_code == 401
    after = eventually(lambda: [one for one in [lines(zoe)] if one["Clip by signed link"]["state"] == "refused"])[0]
    states = {name: line["state"] for name, line in after.items()}
    assert {name for name, state in states.items() if state == "refused"} == {
        "New order",
        "Asking about a video",
        "Clip by token",
        "Clip by signed link",
    }
    assert states["Clip already loaded"] == states["Minting child tokens"] == "not checked"
    state = zoe.state()
    assert state["counts"]["refused"] == 4
    assert (state["counts"]["accepted"], state["counts"]["finished"]) == (1, 1)
    assert "4 refused since" in state["timeline"]["summary"]

    public = zoe.get("/control/projector/state").text
    for secret in ("tester-secret-name", "reason-of-the-room", "tok_", "Zoë", token):
        assert secret not in public
    assert json.loads(public)["checklist"] == zoe.state()["checklist"]


def test_a_surface_that_still_works_is_told(zoe: Instructor, clean: Live) -> None:
    token = clean.issue()["token"]
    video = order(clean, token)["id"]
    eventually(lambda: call(clean, "GET", f"/v1/videos/{video}", token).json()["status"] == "completed", within=60)
    clean.control("PATCH", "/control/replicas", json={"defects": ["legacy-path-unchecked"], "for_seconds": 600})
    assert "legacy-path-unchecked@r1" in eventually(lambda: zoe.state()["errs"])
    zoe.done("revoke", kind="cohort", which="alpha", reason="drill")
    assert call(clean, "GET", f"/v1/videos/{video}/content", token).status_code == 200
    line = eventually(
        lambda: [one for one in [lines(zoe).get("Clip by token", {})] if one.get("state") != "not checked"]
    )
    assert line[0]["state"] == "still works"
    assert line[0]["words"].startswith("1 request accepted after the revocation at r1")


def test_a_reset_is_a_clean_room_within_ten_seconds(zoe: Instructor, clean: Live) -> None:
    for n in range(3):
        order(clean, clean.issue(f"tester-{n}")["token"])
    zoe.done("clock", do="start", speed=14)
    zoe.done("revoke", kind="all", reason="drill", confirm="all")
    lost = eventually(lambda: [one for one in [zoe.state()["lost"]] if one.startswith("3 tokens, 3 videos")])
    assert "The event list stays" in lost[0]
    begun = time.monotonic()
    assert zoe.done("reset", confirm="reset")["words"].startswith("The room is clean.")
    state = eventually(lambda: [one for one in [zoe.state()] if one["phase"] == "normal"])[0]
    assert time.monotonic() - begun < 10
    assert (state["tokens"], state["checklist"], state["has_clock"]) == ("none", [], False)
    assert state["counts"] == {"accepted": 0, "finished": 0, "refused": 0}
    assert [line["words"] for line in state["log"]] == ["Reset to a clean room; 3 tokens and 3 videos went"]
    assert state["log"][0]["actor"] == "admin (Zoë)"


def test_the_log_is_exported_as_json_and_csv(zoe: Instructor, clean: Live) -> None:
    clean.issue()
    zoe.done("broadcast", text=HOSTILE)
    kept = [event for event in events(clean) if event["seq"] >= events(clean, "reset")[-1]["seq"]]
    answer = zoe.get("/control/log.json")
    assert answer.json() == kept
    assert answer.headers["content-disposition"].startswith('attachment; filename="leakdrill-log-')
    table = list(csv.DictReader(io.StringIO(zoe.get("/control/log.csv").text)))
    assert [int(row["seq"]) for row in table] == [event["seq"] for event in kept]
    assert json.loads(table[-1]["data"]) == {"text": HOSTILE}
    assert table[-1]["actor"] == "admin (Zoë)"
    assert clean.supervisor.admin_token not in answer.text


def test_the_page_is_given_a_token_that_works_and_stays_in_the_server(serve: Serve, clean: Live) -> None:
    page_tokens = PageTokens(("ldk_dead",), None, random.Random(1))
    zoe = Instructor(serve(control_app(clean.url, page_tokens)))
    zoe.log_in(clean.supervisor.admin_token, "Zoë")
    told = zoe.done("access")
    (token,) = page_tokens.current()
    assert call(clean, "GET", "/v1/videos", token).status_code == 200
    assert token not in str(told)
    (issued,) = events(clean, "token.issued")[-1:]
    assert issued["actor"] == "admin (Zoë)"
    clean.control("PUT", "/control/mint", json={"frozen": True})
    refused = zoe.do("access")
    assert (refused.status_code, page_tokens.current()) == (409, (token,))


def test_the_injects_of_the_plan_are_for_the_private_page(zoe: Instructor) -> None:
    injects = zoe.get("/control/injects").json()["injects"]
    assert [inject["id"] for inject in injects] == [f"m{n}" for n in range(1, 10)]
    assert (injects[0]["when"], injects[1]["when"]) == ("about 08:30 (derived)", "about 08:55 (invented)")
    assert all(0 < len(inject["text"]) <= 300 for inject in injects)
    assert injects[4]["expect"] == "choose a scope and count the bystanders first, within 40 min"
