import hashlib
import json
import os
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from desk import Desk, DeskMaker, bearer_of
from gateway.commands.reporter import KeyPair, Reporter, load_reporter, new_pair, publish
from gateway.notices.keys import KeyFile
from gateway.notices.reading import MAX_BYTES
from gateway.tokens import secret as secrets_format
from tampering import everything_kept, refusing

pytestmark = pytest.mark.anyio

TYPE = "leakdrill_access_token"
URL = "https://example.test/space/app.py"
Refused = tuple[int, str]


def notice(token: str, **more: str) -> dict[str, str]:
    return {"token": token, "type": TYPE, "url": URL, "source": "content", **more}


def reporter_of(desk: Desk) -> Reporter:
    reporter = load_reporter(desk.settings)
    publish(desk.settings, reporter)
    return reporter


async def send(desk: Desk, body: bytes, pair: KeyPair, signature: str | None = None) -> httpx.Response:
    headers = {
        "Github-Public-Key-Identifier": pair.identifier,
        "Github-Public-Key-Signature": pair.sign(body) if signature is None else signature,
    }
    return await desk.http.post("/disclosures/github", content=body, headers=headers)


async def report(desk: Desk, *notices: dict[str, Any]) -> httpx.Response:
    """Sent and signed as it should be."""
    return await send(desk, json.dumps(notices).encode(), reporter_of(desk).current)


async def shown(desk: Desk, issued: dict[str, Any]) -> dict[str, Any]:
    answer = await desk.http.get(f"/control/tokens/{issued['accessor']}", headers=desk.admin)
    found: dict[str, Any] = answer.json()
    return found


def refusal(answer: httpx.Response) -> Refused:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"].startswith("Github-Public-Key")
    return answer.status_code, error["code"]


def label(token: str, word: str) -> dict[str, str]:
    return {"token_hash": hashlib.sha256(token.encode()).hexdigest(), "token_type": TYPE, "label": word}


async def test_a_reported_token_is_labelled_and_quarantined(desk: Desk) -> None:
    issued = await desk.issue()
    unknown = secrets_format.mint()
    answer = await report(desk, notice(issued["token"]), notice(unknown), notice("ldk_" + "0" * 36))
    assert answer.status_code == 200
    assert answer.json() == [
        label(issued["token"], "true_positive"),
        label(unknown, "false_positive"),
        label("ldk_" + "0" * 36, "false_positive"),
    ]
    assert issued["token"] not in answer.text
    assert (await shown(desk, issued))["state"] == "quarantined"
    headers = bearer_of(issued)
    assert (await desk.http.get("/v1/videos", headers=headers)).status_code == 200
    assert (await desk.http.post("/v1/videos", json={"prompt": "x"}, headers=headers)).status_code == 403


async def test_what_was_reported_is_on_the_list_and_the_secret_is_not(desk: Desk) -> None:
    issued = await desk.issue()
    url = f"https://example.test/?key={issued['token']}&\x1b[31m" + "x" * 5000
    await report(desk, notice(issued["token"], url=url))
    moved, matched, received = (await desk.events())[-3:]
    assert moved["kind"] == "token.state_changed"
    assert matched["kind"] == "disclosure.matched"
    assert matched["accessor"] == issued["accessor"]
    assert matched["data"]["reporter"] == f"github:{reporter_of(desk).current.identifier}"
    assert (matched["data"]["source"], matched["data"]["policy"]) == ("content", "quarantine")
    assert matched["data"]["outcome"] == "quarantined"
    assert matched["data"]["url"].startswith("https://example.test/?key=[token]&�[31mx")
    assert len(matched["data"]["url"]) == 500
    assert received["kind"] == "disclosure.received"
    assert (received["data"]["true_positives"], received["data"]["false_positives"]) == (1, 0)
    await report(desk, notice("leak", type=issued["token"]))
    kept = everything_kept(desk)
    assert issued["accessor"].encode() in kept
    assert issued["token"].encode() not in kept


@pytest.mark.parametrize(
    ("policy", "state", "read", "create"),
    [("observe", "active", 200, 200), ("quarantine", "quarantined", 200, 403), ("revoke", "revoked", 401, 401)],
)
async def test_the_policy_decides(make_desk: DeskMaker, policy: str, state: str, read: int, create: int) -> None:
    desk = await make_desk(disclosure_policy=policy)
    people = [await desk.issue(f"t{number}") for number in range(3)]
    bystander = await desk.bearer("bystander")
    for one in people:
        await desk.create(bearer_of(one))
    answer = await report(desk, *(notice(one["token"]) for one in people))
    assert [one["label"] for one in answer.json()] == ["true_positive"] * 3
    for one in people:
        token = await shown(desk, one)
        assert (token["state"], token["reported_url"], token["reports"]) == (state, URL, 1)
        assert (await desk.http.get("/v1/videos", headers=bearer_of(one))).status_code == read
        answer = await desk.http.post("/v1/videos", json={"prompt": "x"}, headers=bearer_of(one))
        assert answer.status_code == create
    assert (await desk.http.get("/v1/videos", headers=bystander)).status_code == 200
    if policy == "revoke":
        assert await desk.claim() is None
        revocations = (await desk.http.get("/control/revocations", headers=desk.admin)).json()["data"]
        assert sorted(one["selector"]["accessor"] for one in revocations) == sorted(one["accessor"] for one in people)
        assert all(URL in one["reason"] for one in revocations)


@pytest.mark.parametrize("policy", ["observe", "quarantine", "revoke"])
async def test_repeats_answer_the_same_and_change_nothing(make_desk: DeskMaker, policy: str) -> None:
    desk = await make_desk(disclosure_policy=policy)
    issued = await desk.issue()
    body = json.dumps([notice(issued["token"]), notice("nothing"), notice(issued["token"])]).encode()
    pair = reporter_of(desk).current
    first = await send(desk, body, pair)
    assert [one["label"] for one in first.json()] == ["true_positive", "false_positive", "true_positive"]
    before, token = await desk.events(), await shown(desk, issued)
    assert [event["kind"] for event in before].count("disclosure.matched") == 1
    assert token["reports"] == 1
    for again in (body, json.dumps([notice("nothing"), notice(issued["token"])]).encode()):
        answer = await send(desk, again, pair)
        assert answer.status_code == 200
    assert (await send(desk, body, pair)).json() == first.json()
    assert (await desk.events(), await shown(desk, issued)) == (before, token)


async def test_a_replay_does_not_undo_a_restore_and_a_new_place_does(desk: Desk) -> None:
    issued = await desk.issue()
    body = json.dumps([notice(issued["token"])]).encode()
    pair = reporter_of(desk).current
    await send(desk, body, pair)
    path = f"/control/tokens/{issued['accessor']}"
    await desk.http.patch(path, json={"state": "active"}, headers=desk.admin)
    await send(desk, body, pair)
    assert (await shown(desk, issued))["state"] == "active"
    await report(desk, notice(issued["token"], url="https://example.test/elsewhere"))
    token = await shown(desk, issued)
    assert (token["state"], token["reports"], token["reported_url"]) == ("quarantined", 2, URL)


@pytest.mark.parametrize("state", ["suspended", "revoked"])
async def test_a_notice_never_moves_a_token_up_the_ladder(desk: Desk, state: str) -> None:
    issued = await desk.issue()
    if state == "revoked":
        await desk.revoke({"accessor": issued["accessor"]})
    else:
        path = f"/control/tokens/{issued['accessor']}"
        await desk.http.patch(path, json={"state": state}, headers=desk.admin)
    assert (await report(desk, notice(issued["token"]))).json()[0]["label"] == "true_positive"
    assert (await shown(desk, issued))["state"] == state


async def test_an_intake_is_no_use_of_a_token(desk: Desk) -> None:
    issued = await desk.issue()
    await report(desk, notice(issued["token"]))
    await desk.context.usage.flush(desk.store)
    assert (await shown(desk, issued))["last_used_at"] is None


async def test_without_labels_the_outcome_is_not_told(make_desk: DeskMaker) -> None:
    desk = await make_desk(disclosure_labels=False)
    issued = await desk.issue()
    for token in (issued["token"], secrets_format.mint()):
        answer = await report(desk, notice(token))
        assert (answer.status_code, answer.content) == (204, b"")
    assert (await shown(desk, issued))["state"] == "quarantined"


async def test_a_forged_reordered_or_unsigned_notice_changes_nothing(desk: Desk) -> None:
    issued = await desk.issue()
    reporter = reporter_of(desk).rotated().with_retired()
    publish(desk.settings, reporter)
    pair, retired = reporter.current, reporter.retired[0]
    body = json.dumps([notice(issued["token"])]).encode()
    reordered = json.dumps([dict(reversed(notice(issued["token"]).items()))]).encode()
    assert json.loads(body) == json.loads(reordered)
    forged = KeyPair(pair.identifier, new_pair().secret)
    before = await desk.events()
    assert refusal(await send(desk, body, forged)) == (401, "invalid_signature")
    assert refusal(await send(desk, reordered, pair, pair.sign(body))) == (401, "invalid_signature")
    for signature in ("not base64!", "AAAA", pair.sign(body)[:-4], "é"):
        headers = {"Github-Public-Key-Identifier": pair.identifier, "Github-Public-Key-Signature": signature}
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        answer = await desk.http.post("/disclosures/github", content=body, headers=encoded)
        assert refusal(answer) == (401, "invalid_signature")
    assert refusal(await send(desk, body, retired)) == (401, "retired_key")
    assert refusal(await send(desk, body, new_pair())) == (401, "unknown_key")
    for missing in ({}, {"Github-Public-Key-Identifier": "x"}, {"Github-Public-Key-Signature": "x"}):
        answer = await desk.http.post("/disclosures/github", content=body, headers=missing)
        assert refusal(answer) == (401, "missing_signature")
    assert (await shown(desk, issued))["state"] == "active"
    refused = (await desk.events())[len(before) :]
    assert {event["kind"] for event in refused} == {"disclosure.refused"}
    codes = [event["data"]["code"] for event in refused]
    assert codes == ["invalid_signature", "retired_key", "unknown_key", "missing_signature"]
    desk.clock.advance(61)
    await send(desk, body, forged)
    assert (await desk.events())[-1]["data"]["untold_before"] == 5


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (b"", (400, "invalid_json")),
        (b"[", (400, "invalid_json")),
        (b"\xff\xfe", (400, "invalid_json")),
        (b"[" * 200_000, (400, "invalid_json")),
        (b'{"token": "x"}', (400, "invalid_json")),
        (json.dumps([notice("x")] * 1001).encode(), (400, "too_many_notices")),
        (b"[1]", (422, "invalid_value")),
        (b'[{"type": "x"}]', (422, "invalid_value")),
        (b'[{"token": "", "type": "x"}]', (422, "invalid_value")),
        (b'[{"token": 5, "type": "x"}]', (422, "invalid_value")),
        (b'[{"token": "x", "type": "x", "url": 7}]', (422, "invalid_value")),
        (b'[{"token": "\\ud800", "type": "x"}]', (422, "invalid_value")),
        (json.dumps([notice("x" * 8193)]).encode(), (422, "invalid_value")),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_a_batch_is_taken_whole_or_not_at_all(desk: Desk, body: bytes, refused: Refused) -> None:
    issued = await desk.issue()
    if body.startswith(b"[{") and refused[0] == 422:
        body = json.dumps([notice(issued["token"])]).encode()[:-1] + b", " + body[1:]
    assert refusal(await send(desk, body, reporter_of(desk).current)) == refused
    assert (await shown(desk, issued))["state"] == "active"
    assert (await desk.events())[-1]["kind"] == "disclosure.refused"


async def test_places_may_be_empty_absent_or_null_and_new_fields_are_let_through(desk: Desk) -> None:
    answer = await report(
        desk, {"token": "a", "type": TYPE}, {"token": "b", "type": TYPE, "url": "", "source": None, "new_field": [1]}
    )
    assert [one["label"] for one in answer.json()] == ["false_positive"] * 2
    assert (await report(desk)).json() == []


@pytest.mark.parametrize("policy", ["quarantine", "revoke"])
async def test_a_thousand_tokens_in_one_batch(make_desk: DeskMaker, policy: str) -> None:
    desk = await make_desk(disclosure_policy=policy)
    issued = [await desk.issue(f"t{number}") for number in range(100)]
    notices = [notice(one["token"]) for one in issued] + [notice(secrets_format.mint()) for _ in range(900)]
    answer = await report(desk, *notices)
    assert [one["label"] for one in answer.json()] == ["true_positive"] * 100 + ["false_positive"] * 900
    page = await desk.http.get("/control/tokens", headers=desk.admin)
    assert {token["state"] for token in page.json()["data"]} == {"quarantined" if policy == "quarantine" else "revoked"}


@pytest.mark.parametrize("beyond", [-1, 0, 1])
async def test_ten_megabytes_are_read_to_the_byte_and_no_more(desk: Desk, beyond: int) -> None:
    pair, issued = reporter_of(desk).current, await desk.issue()
    body = json.dumps([notice(issued["token"], url="")]).encode()
    body = json.dumps([notice(issued["token"], url="y" * (MAX_BYTES + beyond - len(body)))]).encode()
    assert len(body) == MAX_BYTES + beyond
    answer = await send(desk, body, pair)
    if beyond <= 0:
        assert answer.json() == [label(issued["token"], "true_positive")]
    else:
        assert refusal(answer) == (413, "payload_too_large")
    assert (await shown(desk, issued))["state"] == ("quarantined" if beyond <= 0 else "active")


async def test_a_body_that_was_cut_short_changes_nothing(desk: Desk) -> None:
    """Under the whole body's signature it is no reporter's; signed as it is, it is no JSON."""
    issued = [await desk.issue(f"t{number}") for number in range(3)]
    pair = reporter_of(desk).current
    body = json.dumps([notice(one["token"]) for one in issued]).encode()
    for length in (1, 40, len(body) // 2, len(body) - 1):
        assert refusal(await send(desk, body[:length], pair, pair.sign(body))) == (401, "invalid_signature")
        assert refusal(await send(desk, body[:length], pair)) == (400, "invalid_json")
    assert {(await shown(desk, one))["state"] for one in issued} == {"active"}
    assert (await send(desk, body, pair)).status_code == 200
    assert {(await shown(desk, one))["state"] for one in issued} == {"quarantined"}


@pytest.mark.parametrize("change", ["keys", "notices", "spaces", "escapes", "byte order mark", "new line"])
async def test_the_same_json_written_otherwise_is_no_longer_signed(desk: Desk, change: str) -> None:
    issued, other = await desk.issue("a"), await desk.issue("b")
    pair = reporter_of(desk).current
    notices = [notice(issued["token"]), notice(other["token"])]
    body = json.dumps(notices).encode()
    written = {
        "keys": json.dumps(notices, sort_keys=True).encode(),
        "notices": json.dumps(notices[::-1]).encode(),
        "spaces": json.dumps(notices, separators=(",", ":")).encode(),
        "escapes": body.replace(b"https", b"\\u0068ttps"),
        "byte order mark": b"\xef\xbb\xbf" + body,
        "new line": body + b"\n",
    }[change]
    assert written != body
    assert refusal(await send(desk, written, pair, pair.sign(body))) == (401, "invalid_signature")
    assert (await shown(desk, issued))["state"] == (await shown(desk, other))["state"] == "active"


async def test_a_replayed_batch_changes_nothing_of_a_token_that_came_back(desk: Desk) -> None:
    issued = [await desk.issue(f"t{number}") for number in range(3)]
    pair = reporter_of(desk).current
    body = json.dumps([notice(one["token"]) for one in issued]).encode()
    first = await send(desk, body, pair)
    restored = {"selector": {"cohort": "alpha"}, "reason": "false alarm", "over_seconds": 0}
    assert (await desk.http.post("/control/restorations", json=restored, headers=desk.admin)).json()["state"] == "done"
    before = await desk.events()
    assert (await send(desk, body, pair)).json() == first.json()
    assert await desk.events() == before
    for one in issued:
        assert (await shown(desk, one))["state"] == "active"
        answer = await desk.http.post("/v1/videos", json={"prompt": "rain"}, headers=bearer_of(one))
        assert answer.status_code == 200


@pytest.mark.parametrize("hint", ["acme_session_cookie", "LEAKDRILL_ACCESS_TOKEN", " ", "é" * 255])
async def test_a_wrong_type_hint_decides_nothing(desk: Desk, hint: str) -> None:
    issued = await desk.issue()
    answer = await report(desk, notice(issued["token"], type=hint), notice("nothing", type=hint))
    assert [(one["token_type"], one["label"]) for one in answer.json()] == [
        (hint, "true_positive"),
        (hint, "false_positive"),
    ]
    assert (await shown(desk, issued))["state"] == "quarantined"


@pytest.mark.parametrize("hint", [None, "", 7, True, ["x"], {"name": "x"}, "x" * 256])
async def test_a_type_hint_that_is_none_refuses_the_batch(desk: Desk, hint: Any) -> None:
    issued = await desk.issue()
    answer = await report(desk, notice(issued["token"]), {**notice("x"), "type": hint})
    assert refusal(answer) == (422, "invalid_value")
    assert answer.json()["error"]["param"] == "[1].type"
    assert (await shown(desk, issued))["state"] == "active"


@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded", "nonsense"])
async def test_the_media_type_decides_nothing_either(desk: Desk, media_type: str | None) -> None:
    issued = await desk.issue()
    pair, body = reporter_of(desk).current, json.dumps([notice(issued["token"])]).encode()
    headers = {"Github-Public-Key-Identifier": pair.identifier, "Github-Public-Key-Signature": pair.sign(body)}
    headers |= {} if media_type is None else {"Content-Type": media_type}
    answer = await desk.http.post("/disclosures/github", content=body, headers=headers)
    assert answer.json() == [label(issued["token"], "true_positive")]


async def test_where_the_event_cannot_be_written_nothing_is_taken(desk: Desk) -> None:
    issued = await desk.issue()
    with refusing(desk, "INSERT", "events", "new.kind = 'disclosure.received'"):
        assert (await report(desk, notice(issued["token"]))).status_code in (500, 503)
    assert ((await shown(desk, issued))["state"], (await shown(desk, issued))["reports"]) == ("active", 0)
    await report(desk, notice(issued["token"]))
    assert (await shown(desk, issued))["state"] == "quarantined"


def curve_key(curve: ec.EllipticCurve) -> str:
    key = ec.generate_private_key(curve).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


BROKEN: list[Callable[[dict[str, Any]], Any]] = [
    lambda good: "{",
    lambda good: "[" * 100_000,
    lambda good: [],
    lambda good: {"public_keys": {}},
    lambda good: {"public_keys": [good, good]},
    lambda good: {"public_keys": [{**good, "is_current": "yes"}]},
    lambda good: {"public_keys": [{**good, "key": "no key"}]},
    lambda good: {"public_keys": [{**good, "key": curve_key(ec.SECP384R1())}]},
    lambda good: {"public_keys": [good, {"key_identifier": "x"}]},
    lambda good: " " * (1024 * 1024 + 1),
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
async def test_with_a_broken_key_file_nobody_is_believed(desk: Desk, broken: Callable[..., Any]) -> None:
    issued = await desk.issue()
    reporter = reporter_of(desk)
    body = json.dumps([notice(issued["token"])]).encode()
    assert (await send(desk, b"[]", reporter.current)).status_code == 200
    content = broken(reporter.current.public(is_current=True))
    path = desk.settings.reporter_keys
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    assert refusal(await send(desk, body, reporter.current)) == (503, "reporter_keys_unreadable")
    assert (await shown(desk, issued))["state"] == "active"
    path.unlink()
    assert refusal(await send(desk, body, reporter.current)) == (401, "unknown_key")
    publish(desk.settings, reporter)
    assert (await send(desk, body, reporter.current)).status_code == 200


async def test_the_admin_sees_whose_notices_are_believed(desk: Desk) -> None:
    async def reporters() -> Any:
        return await desk.http.get("/control/reporters", headers=desk.admin)

    reporter = reporter_of(desk)
    publish(desk.settings, reporter.rotated())
    answer = (await reporters()).json()
    assert (answer["policy"], answer["labels"]) == (desk.settings.disclosure_policy, True)
    known = {one["key_identifier"]: one["is_current"] for one in answer["keys"]}
    assert known[reporter.current.identifier] is False
    assert list(known.values()).count(True) == 1
    desk.settings.reporter_keys.write_text("no JSON")
    assert refusal(await reporters()) == (503, "reporter_keys_unreadable")
    desk.settings.reporter_keys.unlink()
    assert (await reporters()).json()["keys"] == []
    assert (await desk.http.get("/control/reporters", headers=await desk.bearer())).status_code == 401


async def test_a_rotation_is_noticed_and_an_unknown_key_costs_no_reading(
    make_desk: DeskMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await make_desk()
    reporter = reporter_of(desk)
    assert (await send(desk, b"[]", reporter.current)).status_code == 200
    publish(desk.settings, reporter.rotated())
    assert refusal(await send(desk, b"[]", reporter.current)) == (401, "retired_key")
    keys = KeyFile(desk.settings.reporter_keys)
    assert keys.named(reporter.current.identifier) is not None
    stat = desk.settings.reporter_keys.stat()
    # The same date and size: were the file read for a name that it does not hold, this would be found out.
    desk.settings.reporter_keys.write_text("{" * stat.st_size)
    os.utime(desk.settings.reporter_keys, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert keys.named("somebody") is None


async def test_a_reset_forgets_notices(desk: Desk) -> None:
    issued = await desk.issue()
    await report(desk, notice(issued["token"]))
    answer = await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
    assert answer.status_code == 200
    before = len(await desk.events())
    assert (await report(desk, notice(issued["token"]))).json()[0]["label"] == "false_positive"
    assert (await desk.events())[before]["kind"] == "disclosure.received"


async def test_the_tombstone_tells_who_disclosed_and_when_it_was_first_tried_again(make_desk: DeskMaker) -> None:
    desk = await make_desk(disclosure_policy="revoke")
    issued = await desk.issue("a1", "alpha")
    other = await desk.issue("a2", "alpha")
    await desk.http.get("/v1/videos", headers=bearer_of(issued))
    await desk.context.usage.flush(desk.store)
    used = desk.clock.now()
    desk.clock.advance(10)
    await report(desk, notice(issued["token"]))
    revoked = desk.clock.now()
    assert (await shown(desk, issued))["first_misuse_at"] is None
    desk.clock.advance(5)
    for _ in range(2):
        assert (await desk.http.get("/v1/videos", headers=bearer_of(issued))).status_code == 401
        desk.clock.advance(5)
    token = await shown(desk, issued)
    assert (token["principal"], token["cohort"], token["created_at"]) == ("a1", "alpha", used)
    assert token["scopes"] == ["videos:read", "videos:write"]
    assert (token["state"], token["last_used_at"], token["revoked_at"]) == ("revoked", used, revoked)
    assert (token["first_misuse_at"], token["reported_at"]) == (revoked + 5, revoked)
    assert token["reporter"].startswith("github:drill-")
    assert (token["reported_source"], token["reported_url"], token["reports"]) == ("content", URL, 1)
    assert URL in token["revoked_reason"]
    untouched = await shown(desk, other)
    assert (untouched["reporter"], untouched["reports"], untouched["first_misuse_at"]) == (None, 0, None)


PAIR = new_pair()
BODY = json.dumps([notice("ldk_x")]).encode()
SIGNED = PAIR.sign(BODY)


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
def test_a_body_with_one_other_byte_never_verifies(place: int, change: int) -> None:
    tampered = BODY[:place] + bytes([BODY[place] ^ change]) + BODY[place + 1 :]
    assert key_of(PAIR).signed(BODY, SIGNED)
    assert not key_of(PAIR).signed(tampered, SIGNED)


@given(st.binary(max_size=300).filter(lambda body: body != BODY))
def test_another_body_never_verifies(body: bytes) -> None:
    assert not key_of(PAIR).signed(body, SIGNED)


@given(st.text(max_size=120).filter(lambda text: text != SIGNED))
def test_another_signature_never_verifies_and_never_fails(signature: str) -> None:
    assert not key_of(PAIR).signed(BODY, signature)


def key_of(pair: KeyPair) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    from gateway.notices.keys import ReporterKey

    key = load_pem_public_key(pair.public(is_current=True)["key"].encode())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return ReporterKey(pair.identifier, key, True)
