"""Signed clips: what they say, what they withhold, and what becomes of it when they are altered or copied."""

from __future__ import annotations

import http.server
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import imageio_ffmpeg
import pytest

from fake_model import PipelineError, VideoPipeline
from fake_model.errors import InvalidInput
from fake_model.provenance import (
    ALGORITHMIC_MEDIA,
    AUTHORITY,
    INSTALL,
    RENDER_LABEL,
    Provenance,
    ProvenanceError,
    Signer,
    _manifest,
    available,
    read,
)

ROOT = pathlib.Path(__file__).parents[2]
FACTS: dict[str, Any] = {"title": "a lake, synthetic", "model": "standard", "seed": 7, "created_at": 1732579200.0}
BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"c2pa", "cryptography"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture(scope="module")
def extra() -> None:
    """Skips without the extra, or fails where LEAKDRILL_REQUIRE=all."""
    if importlib.util.find_spec("c2pa") is None or importlib.util.find_spec("cryptography") is None:
        reason = f"C2PA provenance is not installed; install it with: {INSTALL}"
        if os.environ.get("LEAKDRILL_REQUIRE") == "all":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="module")
def signer(extra: None, tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer.create(tmp_path_factory.mktemp("provenance"))


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    output = tmp_path_factory.mktemp("rendered") / "clip.mp4"
    return VideoPipeline()("a lake at sunset", output=output, size="480x480", seconds=1, fps=6).path


@pytest.fixture
def plain(rendered: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A clip alone in its folder."""
    folder = tmp_path / "plain"
    folder.mkdir()
    return pathlib.Path(shutil.copy(rendered, folder / "clip.mp4"))


@pytest.fixture
def signed(signer: Signer, plain: pathlib.Path) -> pathlib.Path:
    signer.sign(plain, **FACTS)
    return plain


def boxes(path: pathlib.Path) -> dict[str, tuple[int, int]]:
    """Outermost boxes in order: type to offset and size."""
    data, at, found = path.read_bytes(), 0, {}
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        assert size >= 8
        found[data[at + 4 : at + 8].decode()] = (at, size)
        at += size
    return found


def flip(path: pathlib.Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def ffmpeg(*arguments: str) -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *arguments]
    return subprocess.run(command, capture_output=True, check=True).stdout


def python(code: str) -> str:
    """Run in a fresh interpreter; its output."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_signed_clip_says_where_it_comes_from_and_its_own_root_is_trusted(
    signer: Signer, signed: pathlib.Path
) -> None:
    found = read(signed, root=signer.root)
    assert found == Provenance(
        state="valid",
        reason="the manifest belongs to this clip; the signer descends from the root given",
        trusted_by_own_root=True,
        issuer=AUTHORITY,
        title="a lake, synthetic",
        model="standard",
        seed=7,
        source_type=ALGORITHMIC_MEDIA,
    )
    assert "not trusted" in AUTHORITY


def test_without_the_root_or_with_another_one_the_signer_is_untrusted(
    signed: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    stranger = Signer.create(tmp_path / "stranger")
    for found in (read(signed), read(signed, root=stranger.root)):
        assert (found.state, found.trusted_by_own_root, found.issuer) == ("valid", False, AUTHORITY)
        assert "signingCredential.untrusted" in found.reason


def test_signed_by_a_stranger_of_the_same_name_is_untrusted(
    signer: Signer, plain: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    Signer.create(tmp_path / "stranger").sign(plain, **FACTS)
    found = read(plain, root=signer.root)
    assert (found.state, found.trusted_by_own_root, found.issuer) == ("valid", False, AUTHORITY)


def test_one_flipped_bit_in_the_media_is_found(signer: Signer, signed: pathlib.Path) -> None:
    at, size = boxes(signed)["mdat"]
    flip(signed, at + size // 2)
    found = read(signed, root=signer.root)
    assert (found.state, found.trusted_by_own_root, found.title, found.seed) == ("invalid", False, None, None)
    assert "assertion.bmffHash.mismatch" in found.reason


def test_a_manifest_altered_anywhere_never_says_something_else(signer: Signer, signed: pathlib.Path) -> None:
    whole, genuine = signed.read_bytes(), read(signed, root=signer.root)
    at, size = boxes(signed)["uuid"]
    states = set()
    # Beyond its head, which names the box: a flip there hides the manifest.
    for position in range(at + 24, at + size, 61):
        flip(signed, position)
        found = read(signed, root=signer.root)
        states.add(found.state)
        assert found == genuine or (found.state == "invalid" and found.title is None), position
        signed.write_bytes(whole)
    # Padding is not signed, so some flips change nothing.
    assert states == {"valid", "invalid"}


def test_a_cut_clip_is_invalid(signed: pathlib.Path) -> None:
    signed.write_bytes(signed.read_bytes()[:-1000])
    assert read(signed).state == "invalid"


def test_a_stream_copy_strips_the_manifest(signed: pathlib.Path, tmp_path: pathlib.Path) -> None:
    copy = tmp_path / "copy.mp4"
    ffmpeg("-i", str(signed), "-c", "copy", str(copy))
    found = read(copy)
    assert (found.state, found.title) == ("absent", None)
    assert "never signed, or the manifest was stripped" in found.reason


def test_a_clip_that_was_never_signed_has_none(extra: None, plain: pathlib.Path) -> None:
    assert read(plain).state == "absent"


def test_frames_and_the_fast_start_stay(signer: Signer, plain: pathlib.Path) -> None:
    before, size = ffmpeg("-i", str(plain), "-f", "framemd5", "-"), plain.stat().st_size
    signer.sign(plain, **FACTS)
    assert ffmpeg("-i", str(plain), "-f", "framemd5", "-") == before
    order = list(boxes(plain))
    assert order.index("ftyp") < order.index("uuid") < order.index("moov") < order.index("mdat")
    assert 0 < plain.stat().st_size - size < 8_000


def test_signing_again_replaces_the_manifest(signer: Signer, signed: pathlib.Path) -> None:
    first = signed.read_bytes()
    signer.sign(signed, **{**FACTS, "title": "another title"})
    assert signed.read_bytes() != first
    assert abs(signed.stat().st_size - len(first)) < 100
    found = read(signed, root=signer.root)
    assert (found.state, found.title, found.trusted_by_own_root) == ("valid", "another title", True)


def test_the_manifest_holds_nothing_but_what_was_given(signed: pathlib.Path) -> None:
    import c2pa  # type: ignore[import-untyped]

    with signed.open("rb") as source, c2pa.Reader("video/mp4", source) as reader:
        report = json.loads(reader.json())
    (manifest,) = report["manifests"].values()
    said = {each["label"]: each["data"] for each in manifest["assertions"]}
    assert set(said) == {"c2pa.hash.bmff.v3", "c2pa.actions.v2", RENDER_LABEL}
    assert said[RENDER_LABEL] == {"model": "standard", "seed": 7}
    (action,) = said["c2pa.actions.v2"]["actions"]
    assert set(action) == {"action", "when", "softwareAgent", "digitalSourceType"}
    assert (action["action"], action["when"]) == ("c2pa.created", "2024-11-26T00:00:00Z")
    at, size = boxes(signed)["uuid"]
    box = signed.read_bytes()[at : at + size]
    assert str(signed.parent).encode() not in box
    assert b"PRIVATE" not in box


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("title", ""),
        ("title", "x" * 121),
        ("title", "two\nlines"),
        ("title", "for tok_4f9a2c81d0"),
        ("model", "ldk_0123456789abcdefghij"),
        ("seed", -1),
        ("seed", 2**32),
        ("created_at", float("nan")),
        ("created_at", 1e18),
    ],
)
def test_refused_arguments_leave_the_clip_alone(
    signer: Signer, plain: pathlib.Path, argument: str, value: object
) -> None:
    before = plain.read_bytes()
    with pytest.raises(InvalidInput, match=argument):
        signer.sign(plain, **{**FACTS, argument: value})
    assert plain.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"", b"short", b"\x89PNG\r\n\x1a\n" + bytes(100), b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\1\0\0moov"]
)
def test_what_is_no_mp4_is_refused_and_nothing_is_left(signer: Signer, tmp_path: pathlib.Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(ProvenanceError, match=r"path: clip\.mp4"):
        signer.sign(path, **FACTS)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ProvenanceError, match=r"path: clip\.mp4 (is not an MP4 file|cannot be read)"):
        read(path)


def test_a_file_that_is_not_there_is_an_error_of_the_pipeline(signer: Signer, tmp_path: pathlib.Path) -> None:
    missing = tmp_path / "missing.mp4"
    for attempt in (lambda: read(missing), lambda: signer.sign(missing, **FACTS)):
        with pytest.raises(PipelineError, match=r"missing\.mp4 cannot be read"):
            attempt()


def test_a_root_that_is_no_certificate_is_refused(signed: pathlib.Path) -> None:
    with pytest.raises(InvalidInput, match="root: one or more PEM certificates"):
        read(signed, root=b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    manifest = b""
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.manifest)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[_Elsewhere]]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = type("Elsewhere", (_Elsewhere,), {"asked": []})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/manifest.c2pa", handler
        server.shutdown()
        thread.join()


def test_a_manifest_at_another_address_is_not_fetched(
    signer: Signer, plain: pathlib.Path, tmp_path: pathlib.Path, elsewhere: tuple[str, type[_Elsewhere]]
) -> None:
    import c2pa

    url, handler = elsewhere
    pointing = tmp_path / "pointing.mp4"
    info = c2pa.C2paSignerInfo("es256", signer._chain, signer._key, None)
    with (
        c2pa.Signer.from_info(info) as native,
        c2pa.Builder(_manifest(**FACTS)) as builder,
        plain.open("rb") as source,
        pointing.open("w+b") as target,
    ):
        builder.set_no_embed()
        builder.set_remote_url(url)
        handler.manifest = builder.sign(native, "video/mp4", source, target)

    handler.asked.clear()
    found = read(pointing)
    assert (found.state, handler.asked) == ("absent", [])
    assert "not fetched" in found.reason
    # The library left to itself does ask, so the silence above is not an accident.
    c2pa.Reader(str(pointing)).close()
    assert handler.asked == ["/manifest.c2pa"]


def test_the_authority_is_made_once_and_kept_private(extra: None, tmp_path: pathlib.Path) -> None:
    first, second = Signer.create(tmp_path / "a"), Signer.create(tmp_path / "a")
    assert first.root == second.root
    assert Signer.create(tmp_path / "b").root != first.root
    home = tmp_path / "a" / "authority"
    assert {each.name for each in home.iterdir()} == {"root.pem", "chain.pem", "leaf.key"}
    if os.name == "posix":
        assert home.stat().st_mode & 0o777 == 0o700
        assert {each.stat().st_mode & 0o777 for each in home.iterdir()} == {0o600}
    assert "PRIVATE" not in repr(first)


def test_processes_that_start_at_once_share_one_authority(extra: None, tmp_path: pathlib.Path) -> None:
    code = f"""
import hashlib, pathlib, sys, time
from fake_model import provenance
assert provenance.available()
print("ready", flush=True)
sys.stdin.readline()
signer = provenance.Signer.create(pathlib.Path({str(tmp_path / "shared")!r}))
print(hashlib.sha256(signer.root + signer._chain + signer._key).hexdigest())
"""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    processes = [subprocess.Popen([sys.executable, "-c", code], **pipes) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(set(answers)) == 1
    assert [each.name for each in (tmp_path / "shared").iterdir()] == ["authority"]


def _cut(home: pathlib.Path) -> None:
    (home / "chain.pem").write_bytes((home / "chain.pem").read_bytes()[:200])


def _mix(home: pathlib.Path) -> None:
    other = Signer.create(home.parent / "other")
    (home / "leaf.key").write_bytes(other._key)


def _remove(home: pathlib.Path) -> None:
    (home / "root.pem").unlink()


@pytest.mark.parametrize("damage", [_cut, _mix, _remove])
def test_a_damaged_authority_is_a_clear_error(
    extra: None, tmp_path: pathlib.Path, damage: Callable[[pathlib.Path], None]
) -> None:
    signer = Signer.create(tmp_path)
    damage(tmp_path / "authority")
    with pytest.raises(ProvenanceError, match=r"test authority in .* cannot be used: .*remove that folder") as caught:
        Signer.create(tmp_path)
    assert signer._key.splitlines()[1].decode() not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_a_clear_error(extra: None, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ProvenanceError, match="folder: no test authority can be made"):
        Signer.create(tmp_path / "file" / "inside")


def test_without_the_extra_the_module_loads_and_says_what_to_install(
    rendered: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    code = f"""{BLOCKER}
import pathlib
from fake_model import provenance
print(provenance.available())
found = provenance.read(pathlib.Path({str(rendered)!r}))
print(found.state, found.reason)
try:
    provenance.Signer.create(pathlib.Path({str(tmp_path)!r}))
except provenance.ProvenanceError as exc:
    print(exc)
"""
    answers = python(code).splitlines()
    assert answers[0] == "False"
    assert answers[1].startswith("unavailable ")
    assert INSTALL in answers[1]
    assert INSTALL in answers[2]
    assert list(tmp_path.iterdir()) == []


def test_the_extra_is_loaded_late(extra: None) -> None:
    code = "import sys, fake_model.provenance as p; print({'c2pa', 'cryptography'} & set(sys.modules), p.available())"
    assert python(code) == "set() True"
    assert available()
