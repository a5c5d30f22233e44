"""Calls every video function of LiteLLM's SDK against a gateway and prints what came back as one JSON document.

Usage: python videos.py BASE_URL KEY PICTURE CLIP, in the environment that requirements.txt pins.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

elsewhere: list[str] = []


def _watch(event: str, details: tuple[Any, ...]) -> None:
    """Notes every address outside this machine."""
    if event == "socket.connect" and isinstance(details[1], tuple) and details[1][0] not in ("127.0.0.1", "::1"):
        elsewhere.append(str(details[1]))
    if event == "socket.getaddrinfo" and details[0] not in ("127.0.0.1", "localhost", None):
        elsewhere.append(str(details[0]))


sys.addaudithook(_watch)
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # noqa: E402  the environment and the watch come first

litellm.telemetry = False
litellm.suppress_debug_info = True

base_url, key, picture, clip = sys.argv[1:]
there = {"api_base": base_url, "api_key": key}
small = {"model": "openai/turbo", "size": "480x480", "seconds": "1"}


def ended(video: Any) -> Any:
    deadline = time.monotonic() + 60
    while video.status in ("queued", "in_progress"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{video.id} does not end")
        time.sleep(0.1)
        video = litellm.video_status(video.id, **there)
    return video


def plain(video: Any) -> dict[str, Any]:
    kept: dict[str, Any] = video.model_dump()
    return kept


def refusal(call: Any) -> dict[str, Any]:
    try:
        call()
    except Exception as exc:  # noqa: BLE001  what it raises is what is asked
        return {"name": type(exc).__name__, "status": getattr(exc, "status_code", None), "message": str(exc)}
    return {}


async def in_turn() -> dict[str, Any]:
    """The same by the async functions."""
    video = await litellm.avideo_generation(prompt="rain", **small, **there)
    while video.status in ("queued", "in_progress"):
        await asyncio.sleep(0.1)
        video = await litellm.avideo_status(video.id, **there)
    content = await litellm.avideo_content(video.id, **there)
    listed = await litellm.avideo_list(custom_llm_provider="openai", limit=1, **there)
    return {"video": plain(video), "head": content[:12].hex(), "listed": len(listed["data"])}


base = ended(
    litellm.video_generation(prompt="a lake at dawn", model="openai/sora-2", seconds="1", size="1280x720", **there)
)
found: dict[str, Any] = {
    "text": plain(base),
    "head": litellm.video_content(base.id, **there)[:12].hex(),
    "thumbnail": litellm.video_content(base.id, variant="thumbnail", **there)[:12].hex(),
}
with Path(picture).open("rb") as file:
    found["picture"] = plain(ended(litellm.video_generation(prompt="fog", input_reference=file, **small, **there)))
found["remix"] = plain(ended(litellm.video_remix(base.id, prompt="a lake at night", **there)))
found["edit"] = plain(ended(litellm.video_edit(base.id, prompt="make it night", **there)))
found["extension"] = plain(ended(litellm.video_extension(base.id, prompt="and on", seconds="1", **there)))
character = litellm.video_create_character(name="the keeper", video=Path(clip).read_bytes(), **there)
found["character"] = plain(character)
found["character_again"] = plain(litellm.video_get_character(character.id, **there))
found["list"] = litellm.video_list(custom_llm_provider="openai", limit=2, **there)
found["async"] = asyncio.run(in_turn())
found["wrong_key"] = refusal(lambda: litellm.video_status(base.id, api_base=base_url, api_key="ldk_wrong"))
found["bad_size"] = refusal(lambda: litellm.video_generation(prompt="x", model="openai/sora-2", size="1x1", **there))
sys.stdout.write(json.dumps({**found, "elsewhere": elsewhere}, default=str))
