"""What a page of HTML, or a text of Markdown, is made of."""

from html.parser import HTMLParser

from markdown_it import MarkdownIt
from markdown_it.token import Token

WORDS = ("text", "text_special", "softbreak", "inline")


class Page(HTMLParser):
    """The tags, the attributes and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words += data


def read(markdown: str) -> list[Token]:
    """The parts of a text, those inside of others included."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    return [leaf for token in tokens for leaf in (token, *(token.children or []))]


def written(tokens: list[Token]) -> str:
    """The words that a reader sees, without those in blocks of code."""
    return "".join(token.content if token.type in ("text", "text_special") else "" for token in tokens)


def shape(markdown: str) -> list[str]:
    """What the text is made of, but for the words themselves."""
    return [token.type for token in read(markdown) if token.type not in WORDS]
