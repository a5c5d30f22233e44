import pytest

from drills.lines import NotYamlError, dotted, load

TEXT = """\
name: a
steps:
  - id: one
    at: 12:00
    on: off

  - id: two
    json: {deep: [1, {x: true}]}
"""


def test_data_and_the_line_of_every_place() -> None:
    data, line_of = load(TEXT)
    assert data["steps"][0] == {"id": "one", "at": "12:00", "on": "off"}
    assert line_of(("name",)) == 1
    assert line_of(("steps", 0, "on")) == 5
    assert line_of(("steps", 1)) == line_of(("steps", 1, "id")) == 7
    assert line_of(("steps", 1, "json", "deep", 1, "x")) == 8


def test_the_line_of_a_missing_place_is_that_of_what_is_around_it() -> None:
    _, line_of = load(TEXT)
    assert line_of(("steps", 1, "owner")) == 7
    assert line_of(("nowhere", "at", "all")) == 1


def test_an_empty_text_is_nothing() -> None:
    assert load("# only a remark\n")[0] is None


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: [", 2, "not YAML: expected the node content"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", 4, "b.c: written twice"),
        ("a: &a [*a]\n", None, "nested too deep"),
        ("[" * 1000 + "]" * 1000, None, "nested too deep"),
        (LAUGHS, 1, "more than 100000 entries"),
        ("a: b\nc: \x07", 2, "not YAML: "),
    ],
)
def test_what_is_no_document_is_said_with_its_line(text: str, line: int | None, words: str) -> None:
    with pytest.raises(NotYamlError, match=words) as caught:
        load(text)
    assert caught.value.line == line


def test_places_read_like_a_path() -> None:
    assert dotted(("msel", 2, "at")) == "msel[2].at"
