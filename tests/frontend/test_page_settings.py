from __future__ import annotations

from pathlib import Path

import pytest

from frontend.settings import Settings, SettingsError


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    assert Settings.from_environment({}) == Settings(
        gateway_url="http://127.0.0.1:8000",
        public_url=None,
        tokens=(),
        tokens_file=None,
        host="127.0.0.1",
        port=7860,
    )


def test_every_variable_is_read() -> None:
    settings = Settings.from_environment(
        {
            "LEAKDRILL_GATEWAY_URL": "http://gateway:9000/",
            "LEAKDRILL_PUBLIC_URL": "https://videos.example/api/",
            "LEAKDRILL_PAGE_TOKENS": " ldk_one, ldk_two ,",
            "LEAKDRILL_PAGE_TOKENS_FILE": "/run/page.tokens",
            "LEAKDRILL_PAGE_HOST": "0.0.0.0",
            "LEAKDRILL_PAGE_PORT": "7861",
        }
    )
    assert settings == Settings(
        gateway_url="http://gateway:9000",
        public_url="https://videos.example/api",
        tokens=("ldk_one", "ldk_two"),
        tokens_file=Path("/run/page.tokens"),
        host="0.0.0.0",
        port=7861,
    )


def test_a_space_reaches_the_page_from_outside_unless_told_otherwise() -> None:
    assert Settings.from_environment({"SPACE_ID": "someone/page"}).host == "0.0.0.0"
    assert Settings.from_environment({"SPACE_ID": "someone/page", "LEAKDRILL_PAGE_HOST": "::1"}).host == "::1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEAKDRILL_GATEWAY_URL", "127.0.0.1:8000"),
        ("LEAKDRILL_GATEWAY_URL", "ftp://127.0.0.1"),
        ("LEAKDRILL_GATEWAY_URL", "http://"),
        ("LEAKDRILL_GATEWAY_URL", "http://127.0.0.1:notaport"),
        ("LEAKDRILL_GATEWAY_URL", "http://127.0.0.1:99999"),
        ("LEAKDRILL_PUBLIC_URL", "http://host/?a=b"),
        ("LEAKDRILL_PUBLIC_URL", "http://user:secret@host"),
        ("LEAKDRILL_PAGE_TOKENS", "ldk_one ldk_two"),
        ("LEAKDRILL_PAGE_TOKENS", "ldk_ünknown"),
        ("LEAKDRILL_PAGE_HOST", "no host"),
        ("LEAKDRILL_PAGE_PORT", "0"),
        ("LEAKDRILL_PAGE_PORT", "65536"),
        ("LEAKDRILL_PAGE_PORT", "٧٨٦٠"),
        ("LEAKDRILL_PAGE_PORT", "page"),
        ("LEAKDRILL_CONTROL_ROOM", "yes"),
    ],
)
def test_a_bad_value_is_told_in_one_line_that_names_the_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({name: value})
    message = str(caught.value)
    assert message.startswith(name)
    assert "\n" not in message


def test_a_directory_is_no_tokens_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="LEAKDRILL_PAGE_TOKENS_FILE"):
        Settings.from_environment({"LEAKDRILL_PAGE_TOKENS_FILE": str(tmp_path)})


def test_a_bad_token_is_not_repeated_in_the_message() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({"LEAKDRILL_PAGE_TOKENS": "ldk_secret one"})
    assert "ldk_secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "there"),
    [
        ({}, True),
        ({"LEAKDRILL_CONTROL_ROOM": "off"}, False),
        ({"SPACE_ID": "someone/page"}, False),
        ({"SPACE_ID": "someone/page", "LEAKDRILL_CONTROL_ROOM": "on"}, True),
    ],
)
def test_the_control_room_is_off_on_a_space_unless_told_otherwise(environment: dict[str, str], there: bool) -> None:
    assert Settings.from_environment(environment).control_room is there


def test_a_copy_of_the_page_alone_has_no_control_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frontend.settings.FACTS_FILE", tmp_path / "facts.yaml")
    assert Settings.from_environment({}).control_room is False
    with pytest.raises(SettingsError, match="LEAKDRILL_CONTROL_ROOM cannot be on without the folder seeds"):
        Settings.from_environment({"LEAKDRILL_CONTROL_ROOM": "on"})
