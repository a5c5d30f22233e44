"""Characters: the colours of an uploaded clip under a name, each its token's own."""

from __future__ import annotations

import json
from dataclasses import dataclass

from gateway.store.protocol import Connection

Colours = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Character:
    """What reappears in clips that name it. `colours` are RGB triples, `created_at` Unix seconds."""

    id: str
    accessor: str
    name: str
    colours: Colours
    created_at: float


def insert(tx: Connection, character: Character) -> None:
    """Adds a character."""
    tx.execute(
        "INSERT INTO characters (id, accessor, name, colours, created_at) "
        "VALUES (:id, :accessor, :name, :colours, :created_at)",
        {
            "id": character.id,
            "accessor": character.accessor,
            "name": character.name,
            "colours": json.dumps(character.colours),
            "created_at": character.created_at,
        },
    )


def get(tx: Connection, id: str) -> Character | None:
    """The character, whosever it is."""
    row = tx.fetch_one("SELECT * FROM characters WHERE id = :id", {"id": id})
    if row is None:
        return None
    colours = tuple(tuple(colour) for colour in json.loads(row["colours"]))
    return Character(row["id"], row["accessor"], row["name"], colours, row["created_at"])


def delete_all(tx: Connection) -> int:
    """Forgets every character; only a reset does this."""
    return tx.execute("DELETE FROM characters")
