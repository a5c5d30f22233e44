"""New jobs from finished ones: remix, edit, extend.

What was drawn from a prompt keeps its scene: a remix draws it again, changed in what the new prompt names, and an
extension goes on with its motion. What came from an upload has no scene of ours; only its frames can be worked on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.errors import InvalidRequest
from gateway.jobs import outputs, service
from gateway.store import Connection, Store
from gateway.store.jobs import Job, RenderRequest
from gateway.store.tokens import Token

MAX_EXTENSIONS = 6
MAX_TOTAL_SECONDS = 120
MAX_BASES = 32  # earlier prompts that the model reads


@dataclass(frozen=True)
class Look:
    """What an edit may change besides the prompt; None keeps the source's."""

    model: str | None = None
    variant: str | None = None
    style: str | None = None
    seed: int | None = None
    strength: float | None = None


async def source(store: Store, token: Token, id: str, *, param: str) -> Job:
    """One of the token's own finished jobs; raises NotFound, or Conflict (`video_not_ready`)."""

    def work(tx: Connection) -> Job:
        job = service.own(tx, token, id, param)
        outputs.ensure_completed(job, param=param)
        return job

    return await store.read(work)


def reworked(request: RenderRequest) -> bool:
    """Whether the clip was made from another clip's frames, and not drawn from prompts alone."""
    return request.kind in ("edit", "remix") and request.input is not None


def remix(source: Job, prompt: str, *, input: str) -> RenderRequest:
    """The same seed, size, seconds, model and style with another prompt.

    `input` is the name under which the source's clip is kept; it stands in the request only where the frames are
    needed, because the clip cannot be drawn again: an edit, or what is longer than one drawing.
    """
    old = source.request
    plain = replace(
        old, kind="remix", prompt=prompt, remixed_from=source.id, strength=None, added_seconds=None, continue_from=None
    )
    if reworked(old) or old.kind == "extend":
        return replace(plain, input=input, base_prompts=())
    return replace(plain, input=None, base_prompts=_bases(old))


def edit(source: Job, prompt: str, look: Look, *, input: str) -> RenderRequest:
    """The source's frames, changed by what the prompt names."""
    old = source.request
    return replace(
        old,
        kind="edit",
        prompt=prompt,
        model=look.model or old.model,
        variant=look.variant or old.variant,
        style=look.style or old.style,
        seed=old.seed if look.seed is None else look.seed,
        strength=look.strength,
        input=input,
        remixed_from=source.id,
        base_prompts=(),
        added_seconds=None,
        continue_from=None,
    )


def extend(source: Job, prompt: str, seconds: int, *, input: str) -> RenderRequest:
    """The source's frames and `seconds` more; raises InvalidRequest where the chain or the clip would get too long."""
    old = source.request
    if old.extensions >= MAX_EXTENSIONS:
        raise InvalidRequest(
            f"Video {source.id} has been extended {MAX_EXTENSIONS} times, which is the limit.",
            param="video",
            code="too_many_extensions",
        )
    drawn = not reworked(old)
    return replace(
        old,
        kind="extend",
        prompt=prompt,
        seconds=total_seconds(old.seconds, seconds),
        added_seconds=seconds,
        extensions=old.extensions + 1,
        input=input,
        remixed_from=source.id,
        base_prompts=_bases(old) if drawn else (),
        continue_from=source.next_tick if drawn else None,
        strength=None,
    )


def total_seconds(present: int, added: int) -> int:
    """The stitched length; raises InvalidRequest above 120 s."""
    if present + added > MAX_TOTAL_SECONDS:
        raise InvalidRequest(
            f"{present} s and {added} s more are longer than {MAX_TOTAL_SECONDS} s, the most that a clip may have.",
            param="seconds",
        )
    return present + added


def _bases(request: RenderRequest) -> tuple[str, ...]:
    """The prompts behind a clip, oldest first: the first one laid out the scene, the latest changed it last."""
    every = (*request.base_prompts, request.prompt)
    return every if len(every) <= MAX_BASES else (every[0], *every[1 - MAX_BASES :])
