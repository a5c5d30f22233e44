"""Where a clip comes from, in a C2PA manifest: signed by an own test authority, read back, told apart from none.

The manifest (C2PA specification 2.x, "Content Credentials") is one `uuid` box after `ftyp`; the media keeps its bytes.
It declares the action `c2pa.created` with the IPTC digital source type `algorithmicMedia`: made by an algorithm that
learned from nothing. The signature says that a clip is as this installation made it. It convinces nobody else: the
certificates come from an authority that calls itself not trusted, and no trust list has it.

Needs c2pa-python and cryptography, the extra `provenance`. Both are imported inside functions, so that this module
loads without them. Nothing here reaches for a network: no timestamp service, no manifest at another address, no OCSP.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import json
import mmap
import os
import pathlib
import re
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from fake_model.errors import InvalidInput, PipelineError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

AUTHORITY = "leakdrill test CA, not trusted"
INSTALL = 'pip install "leakdrill[provenance]"'
#: IPTC digital source type: media made by an algorithm alone, without sampled training data.
ALGORITHMIC_MEDIA = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicMedia"
#: Own assertion. Labels are reversed domain names; the domain `test` belongs to nobody (RFC 6761).
RENDER_LABEL = "test.leakdrill.render"
MAX_TITLE = 120

#: Extended type of the box that holds a manifest store (C2PA specification 2.x, "Embedding manifests into BMFF").
_MANIFEST_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
# Fixed dates: a machine whose clock is wrong makes and accepts the same certificates.
_VALID_FROM = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_VALID_UNTIL = datetime.datetime(2099, 12, 31, tzinfo=datetime.UTC)
# What names a bearer must never get into a file that is handed out.
_TOKEN_LIKE = re.compile(r"(ldk|tok)_[0-9A-Za-z]{6}")

T = TypeVar("T")


class ProvenanceError(PipelineError):
    """A clip cannot be signed or read, or the test authority or the extra is missing or broken."""


@dataclass(frozen=True)
class Provenance:
    """What a clip says about its origin, and whether that may be believed.

    Args:
        state: `valid`, the manifest belongs to this clip; `invalid`, something was altered; `absent`, there is no
            manifest; `unavailable`, the extra is not installed.
        trusted_by_own_root: the signer descends from the root given to `read`. Without a root always False.
        issuer: the organisation named in the signer's certificate. Anyone can write any name there.
        title, model, seed: as given to `Signer.sign`.
        source_type: the IPTC address of the digital source type.
        reason: one sentence for people, with C2PA's status code where there is one.

    Everything but `state` and `reason` is None unless the state is `valid`: an altered manifest is not repeated.
    """

    state: Literal["valid", "invalid", "absent", "unavailable"]
    reason: str
    trusted_by_own_root: bool = False
    issuer: str | None = None
    title: str | None = None
    model: str | None = None
    seed: int | None = None
    source_type: str | None = None


class Signer:
    """Signs clips with a key and a certificate chain held in memory. May be used from several threads.

    Args:
        root: the root certificate, PEM; what `read` takes as `root`.
        chain: the leaf and the intermediate certificate, PEM.
        key: the leaf's private key, PEM.
    """

    def __init__(self, *, root: bytes, chain: bytes, key: bytes) -> None:
        self.root = root
        self._chain = chain
        self._key = key

    @classmethod
    def create(cls, folder: pathlib.Path) -> Signer:
        """The signer whose authority lives in `folder/authority`, which is made if it is not there.

        The keys of root and intermediate are forgotten once the leaf is signed: nothing more can be issued.

        Raises:
            ProvenanceError: the extra is not installed, or the authority can neither be read nor made.
        """
        _library()
        home = folder / "authority"
        try:
            if not home.exists():
                _found_authority(home)
        except OSError as exc:
            raise ProvenanceError(f"folder: no test authority can be made in {folder}: {exc}") from exc
        return cls(**_load_authority(home))

    def sign(self, path: pathlib.Path, *, title: str, model: str, seed: int, created_at: float) -> None:
        """Put a signed manifest into an MP4, in place of one that it may have.

        The signed file replaces the other by a rename; after an error `path` is as it was. Frames and the order of the
        boxes stay. Signing twice gives different bytes: signatures and identifiers are random.

        Args:
            path: a finished MP4.
            title: shown to everybody, so never a prompt; 1 to 120 printable characters, no token and no accessor.
            model: the variant that made the clip.
            seed: 0 to 2^32 - 1.
            created_at: seconds since 1970, UTC.

        Raises:
            InvalidInput: an argument is outside that.
            ProvenanceError: `path` is no MP4, or cannot be read or replaced.
        """
        manifest = _manifest(title, model, seed, created_at)
        c2pa = _library()
        _check_mp4(path)
        info = c2pa.C2paSignerInfo("es256", self._chain, self._key, None)  # None: no timestamp service
        partial = path.with_name(f".{path.name[:80]}.{uuid.uuid4().hex[:12]}.part")
        try:
            with (
                c2pa.Context.from_dict(_settings(None)) as context,
                c2pa.Signer.from_info(info) as signer,
                c2pa.Builder(manifest, context=context) as builder,
                path.open("rb") as source,
                partial.open("x+b") as target,
            ):
                builder.sign(signer, "video/mp4", source, target)
            shutil.copymode(path, partial)
            partial.replace(path)
        except (OSError, c2pa.C2paError) as exc:
            raise ProvenanceError(f"path: {path.name} cannot be signed: {exc}") from exc
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)


def available() -> bool:
    """Whether the extra is installed and its native library loads."""
    try:
        _library()
    except ProvenanceError:
        return False
    return True


def read(path: pathlib.Path, *, root: bytes | None = None) -> Provenance:
    """What an MP4 says about its origin.

    Args:
        path: an MP4 from anywhere.
        root: PEM of the only root to trust, such as `Signer.root`.

    Raises:
        InvalidInput: `root` is no PEM certificate.
        ProvenanceError: `path` is no MP4 or cannot be read.
    """
    try:
        c2pa = _library()
    except ProvenanceError as exc:
        return Provenance("unavailable", str(exc))
    settings = _settings(root)
    _check_mp4(path)
    try:
        with (
            c2pa.Context.from_dict(settings) as context,
            path.open("rb") as source,
            c2pa.Reader("video/mp4", source, context=context) as reader,
        ):
            report = json.loads(reader.json())
    except OSError as exc:
        raise ProvenanceError(f"path: {path.name} cannot be read: {exc}") from exc
    except c2pa.C2paError as exc:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            embedded = data.find(_MANIFEST_BOX) >= 0
        if embedded:
            return Provenance("invalid", f"the manifest is damaged: {exc}")
        if isinstance(exc, c2pa.C2paError.ManifestNotFound):
            return Provenance("absent", "no C2PA manifest: the clip was never signed, or the manifest was stripped")
        # This kind of error has no class of its own, only a text.
        if str(exc).startswith("Remote"):
            return Provenance("absent", "no C2PA manifest in the clip; it names one elsewhere, which is not fetched")
        raise ProvenanceError(f"path: {path.name} cannot be read: {exc}") from exc
    return _judge(report, root is not None)


def _library() -> Any:
    """The module c2pa. A native library that does not fit the machine counts as not installed."""
    try:
        import c2pa  # type: ignore[import-untyped]
        import cryptography  # noqa: F401 - both or none
    except (ImportError, OSError, RuntimeError, ValueError) as exc:
        raise ProvenanceError(f"C2PA provenance is an extra; install it with: {INSTALL} ({exc})") from exc
    return c2pa


def _settings(root: bytes | None) -> dict[str, Any]:
    """The library's settings: nothing from a network, and if there is a root, that one alone."""
    settings: dict[str, Any] = {
        "version": 1,
        "core": {"allowed_network_hosts": []},
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True},
        "builder": {"thumbnail": {"enabled": False}},
    }
    if root is not None:
        from cryptography import x509

        try:
            x509.load_pem_x509_certificates(root)
        except ValueError as exc:
            raise InvalidInput("root", "one or more PEM certificates") from exc
        settings["trust"] = {"trust_anchors": root.decode("ascii", "replace")}
    return settings


def _manifest(title: str, model: str, seed: int, created_at: float) -> str:
    """The manifest's definition, JSON. What is not named here does not get in."""
    for name, text in (("title", title), ("model", model)):
        if not 0 < len(text) <= MAX_TITLE or not text.isprintable() or _TOKEN_LIKE.search(text):
            raise InvalidInput(name, f"1 to {MAX_TITLE} printable characters, no token and no accessor")
    if not 0 <= seed < 2**32:
        raise InvalidInput("seed", "0 to 2^32 - 1")
    try:
        when = datetime.datetime.fromtimestamp(created_at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError) as exc:
        raise InvalidInput("created_at", "seconds since 1970, UTC") from exc
    try:
        version = importlib.metadata.version("leakdrill")
    except importlib.metadata.PackageNotFoundError:
        version = "unknown"
    agent = {"name": "leakdrill fake_model", "version": version}
    action = {"action": "c2pa.created", "when": when, "softwareAgent": agent, "digitalSourceType": ALGORITHMIC_MEDIA}
    # `created`: the signer states this itself, it was not gathered from others.
    assertions = [
        {"label": "c2pa.actions.v2", "data": {"actions": [action]}, "created": True},
        {"label": RENDER_LABEL, "data": {"model": model, "seed": seed}, "created": True},
    ]
    generator = {"name": "leakdrill", "version": version}
    return json.dumps({"title": title, "claim_generator_info": [generator], "assertions": assertions})


def _check_mp4(path: pathlib.Path) -> None:
    """An MP4 starts with its `ftyp` box (ISO/IEC 14496-12, 4.3); the library would guess at other kinds of file."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as exc:
        raise ProvenanceError(f"path: {path.name} cannot be read: {exc}") from exc
    if head[4:] != b"ftyp":
        raise ProvenanceError(f"path: {path.name} is not an MP4 file")


def _judge(report: dict[str, Any], own_root: bool) -> Provenance:
    """The library's report in our words. A signer that no list has is no reason to call a manifest invalid."""
    failures = report.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    wrong = [f"{each['code']} ({each.get('explanation', '')})" for each in failures]
    if report.get("validation_state") not in ("Valid", "Trusted"):
        broken = [each for each in wrong if not each.startswith("signingCredential.untrusted")]
        return Provenance("invalid", f"altered after signing: {'; '.join(broken) or 'no status code'}")
    trusted = own_root and report["validation_state"] == "Trusted"
    manifest = report["manifests"][report["active_manifest"]]
    said = {each["label"]: each["data"] for each in manifest["assertions"] if isinstance(each["data"], dict)}
    render = said.get(RENDER_LABEL, {})
    actions = said.get("c2pa.actions.v2", said.get("c2pa.actions", {})).get("actions", [])
    sources = [each.get("digitalSourceType") for each in actions if each.get("action") == "c2pa.created"]
    faith = "the signer descends from the root given" if trusted else f"no trusted issuer: {'; '.join(wrong) or 'none'}"
    return Provenance(
        "valid",
        f"the manifest belongs to this clip; {faith}",
        trusted_by_own_root=trusted,
        issuer=_only(manifest.get("signature_info", {}).get("issuer"), str),
        title=_only(manifest.get("title"), str),
        model=_only(render.get("model"), str),
        seed=_only(render.get("seed"), int),
        source_type=_only(next(iter(sources), None), str),
    )


def _only(value: object, kind: type[T]) -> T | None:
    """What strangers wrote, if it is of the kind that it should be."""
    return value if isinstance(value, kind) else None


def _found_authority(home: pathlib.Path) -> None:
    """Make a folder with an authority and rename it to `home`: of several processes at once, one is first.

    Raises:
        OSError: the folder cannot be written.
    """
    home.parent.mkdir(parents=True, exist_ok=True)
    fresh = pathlib.Path(tempfile.mkdtemp(prefix=".authority-", dir=home.parent))
    try:
        for name, data in _issue().items():
            with open(fresh / name, "xb", opener=lambda file, flags: os.open(file, flags, 0o600)) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        try:
            fresh.rename(home)
        except OSError:
            if not home.is_dir():
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _issue() -> dict[str, bytes]:
    """A new root, intermediate and leaf: file names and PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    root_key, middle_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root = _certificate("root", root_key.public_key(), "root", root_key, below=1)
    middle = _certificate("intermediate", middle_key.public_key(), "root", root_key, below=0)
    leaf = _certificate("clip signer", leaf_key.public_key(), "intermediate", middle_key, below=None)
    pem = serialization.Encoding.PEM
    key = leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain = leaf.public_bytes(pem) + middle.public_bytes(pem)
    return {"root.pem": root.public_bytes(pem), "chain.pem": chain, "leaf.key": key}


def _certificate(
    name: str, key: ec.EllipticCurvePublicKey, by: str, by_key: ec.EllipticCurvePrivateKey, *, below: int | None
) -> x509.Certificate:
    """A certificate after the profile of C2PA specification 2.x, "X.509 Certificates".

    `below` is the number of authorities that may stand below this one; None makes a leaf, which signs claims.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    def called(common: str) -> x509.Name:
        organisation = x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, AUTHORITY)
        return x509.Name([organisation, x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{AUTHORITY}: {common}")])

    ca = below is not None
    usage = x509.KeyUsage(
        digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder(called(by), called(name), key, x509.random_serial_number(), _VALID_FROM, _VALID_UNTIL)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=below), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by_key.public_key()), critical=False)
    )
    if not ca:
        # The one purpose of a signer that both C2PA's profile and every library know.
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(by_key, hashes.SHA256())


def _load_authority(home: pathlib.Path) -> dict[str, bytes]:
    """The arguments of `Signer`, checked to belong together."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import serialization

    try:
        root, chain, key = ((home / name).read_bytes() for name in ("root.pem", "chain.pem", "leaf.key"))
        leaf, middle = x509.load_pem_x509_certificates(chain)
        leaf.verify_directly_issued_by(middle)
        middle.verify_directly_issued_by(x509.load_pem_x509_certificate(root))
        if serialization.load_pem_private_key(key, None).public_key() != leaf.public_key():
            raise ValueError("the key is not the certificate's")
    except (OSError, ValueError, TypeError, InvalidSignature) as exc:
        detail = str(exc) or type(exc).__name__
        advice = "remove that folder to have a new authority made"
        raise ProvenanceError(f"folder: the test authority in {home} cannot be used: {detail}; {advice}") from exc
    return {"root": root, "chain": chain, "key": key}
