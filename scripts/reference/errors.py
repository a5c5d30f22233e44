"""docs/reference/errors.md: the leaves of `gateway.errors.APIError`, and the finer codes that the source raises."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from gateway.errors import APIError
from scripts.reference.markdown import table

GATEWAY = Path(__file__).parents[2] / "gateway"
LEAVES = {leaf.__name__: leaf for leaf in APIError.__subclasses__()}


def page() -> str:
    leaves = sorted(LEAVES.values(), key=lambda leaf: (leaf.status, leaf.code))
    plain = [(str(leaf.status), f"`{leaf.code}`", f"`{leaf.type}`", _meaning(leaf)) for leaf in leaves]
    finer = [(str(status), f"`{code}`", text) for (status, code), text in sorted(_finer().items())]
    return f"""# Errors

Every error is `{{"error": {{"message", "type", "param", "code"}}}}`, except under `/oauth`, where the RFCs fix the
shape. `param` names the field, where there is one. More: [the API](../api.md#errors).

{table(("Status", "Code", "Type", "When"), plain)}

## Finer codes

Some answers have a more exact code than their kind. `…` stands for what the request holds.

{table(("Status", "Code", "Says"), finer)}
"""


def _meaning(leaf: type[APIError]) -> str:
    return " ".join((leaf.__doc__ or "").strip().partition("\n\n")[0].split())


def _finer() -> dict[tuple[int, str], str]:
    """Status and code -> the first message that has it, in the order of the files."""
    found: dict[tuple[int, str], str] = {}
    for path in sorted(GATEWAY.rglob("*.py")):
        for leaf, code, message in _raised(ast.parse(path.read_text())):
            if code != leaf.code:
                found.setdefault((leaf.status, code), message)
    return found


def _raised(tree: ast.Module) -> Iterator[tuple[type[APIError], str, str]]:
    """Errors that are made with a code of their own, as a literal or by the name of a constant of the module."""
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in LEAVES:
            for option in node.keywords:
                name = option.value.id if isinstance(option.value, ast.Name) else ""
                value = constants.get(name, option.value)
                if option.arg == "code" and isinstance(value, ast.Constant):
                    yield LEAVES[node.func.id], str(value.value), _text(node.args[0]) if node.args else ""


def _text(node: ast.expr) -> str:
    """A message as it stands in the source, with `…` for what is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) if isinstance(part, ast.Constant) else "…" for part in parts)
        case _:
            return "…"
