"""Characters: what a clip's colours are called, so that later clips can show them again."""

from __future__ import annotations

import secrets

from gateway.errors import NotFound
from gateway.events import EventKind
from gateway.store import Connection, Store, characters, events
from gateway.store.characters import Character, Colours
from gateway.store.tokens import Token
from gateway.tokens import service as token_service


async def create(store: Store, token: Token, *, name: str, colours: Colours, now: float) -> Character:
    """Keeps a character. The token is checked again inside the transaction, as for a job."""
    character = Character(f"char_{secrets.token_hex(16)}", token.accessor, name, colours, now)

    def work(tx: Connection) -> None:
        token_service.ensure_still_good(tx, token, token_service.WRITE, now)
        characters.insert(tx, character)
        data = {"id": character.id, "name": name}
        events.append(
            tx, EventKind.CHARACTER_CREATED, at=now, actor=token.principal, accessor=token.accessor, data=data
        )

    await store.write(work)
    return character


async def show(store: Store, token: Token, id: str, *, param: str = "character_id") -> Character:
    """One of the token's own characters; raises NotFound."""
    character = await store.read(lambda tx: characters.get(tx, id))
    if character is None or character.accessor != token.accessor:
        raise NotFound(f"There is no character {id[:80]!r} under this key.", param=param)
    return character


async def colours_of(store: Store, token: Token, ids: list[str]) -> Colours:
    """The colours of all of them, in order; raises NotFound."""
    found = [await show(store, token, id, param="characters") for id in ids]
    return tuple(colour for character in found for colour in character.colours)
