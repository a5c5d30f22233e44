"""A video as other vendors' APIs ask for it: its shape by resolution and aspect ratio or by its picture, its length in
seconds or in frames."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from gateway.errors import InvalidRequest, UnprocessableRequest
from gateway.jobs import RenderRequest, catalog
from gateway.jobs.service import Standing
from gateway.web.fields import Avoided, Form, Fps, Frames, Guidance, Prompt, Seed, Style
from gateway.web.ordering import Order, seed, submit, submit_from_picture


class Scene(Form):
    """The fields that have one name everywhere. `num_frames` counts where no length is given; `style` is ours."""

    prompt: Prompt
    negative_prompt: Avoided = ""
    num_frames: Frames | None = None
    fps: Fps = catalog.DEFAULT_FPS
    seed: Seed | None = None
    guidance_scale: Guidance | None = None
    style: Style | None = None


@dataclass(frozen=True)
class Wish:
    """The rest, whatever its names were. `size` None is the picture's own, or the usual one; `picture` is an address
    that came in the field `at`."""

    variant: str
    size: str | None
    seconds: int | None
    steps: int | None
    picture: str | None = None
    at: str = ""


async def order_scene(order: Order, scene: Scene, wish: Wish) -> Standing:
    """Queues the video; raises InvalidRequest naming the field."""
    request = RenderRequest(
        prompt=scene.prompt,
        model=wish.variant,
        variant=wish.variant,
        size=wish.size or catalog.DEFAULT_SIZE,
        seconds=wish.seconds or _seconds(scene),
        fps=scene.fps,
        seed=seed(scene.seed),
        style=scene.style,
        negative_prompt=scene.negative_prompt,
        num_inference_steps=wish.steps,
        guidance_scale=scene.guidance_scale,
    )
    if wish.picture is None:
        return await submit(order, request)
    inputs = order.ctx.inputs
    file = await inputs.fetched(wish.picture, param=wish.at)
    try:
        if wish.size is None:
            request = replace(request, size=_fitting(await inputs.size_of_picture(file, param=wish.at), wish.at))
        return await submit_from_picture(order, request, file, param=wish.at)
    finally:
        file.unlink(missing_ok=True)


@contextmanager
def unprocessable() -> Iterator[None]:
    """For APIs that answer 422 where a field is wrong."""
    try:
        yield
    except InvalidRequest as exc:
        raise UnprocessableRequest(exc.message, param=exc.param, code=exc.error_code) from exc


def _seconds(scene: Scene) -> int:
    """The length of so many frames, in whole seconds."""
    if scene.num_frames is None:
        return catalog.DEFAULT_SECONDS
    seconds = max(1, round(scene.num_frames / scene.fps))
    if seconds not in catalog.SECONDS:
        raise InvalidRequest(
            f"{scene.num_frames} frames at {scene.fps} a second are {seconds} s; a video has {catalog.SECONDS_TEXT}.",
            param="num_frames",
        )
    return seconds


def _fitting(size: str, param: str) -> str:
    if size not in catalog.SIZES:
        raise InvalidRequest(
            f"{param} is a picture of {size} pixels. It is the first frame, and so must be one of "
            f"{', '.join(catalog.SIZES)}.",
            param=param,
            code="invalid_image",
        )
    return size
