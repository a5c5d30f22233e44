"""`leakdrill render`: the generator alone."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import click


@click.command()
@click.argument("prompt")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Where the MP4 goes.")
@click.option("--size", default="1280x720", show_default=True, help="WxH in pixels.")
@click.option("--seconds", default=4, show_default=True, help="Length of the clip.")
@click.option("--fps", default=30, show_default=True, help="Frames per second.")
@click.option("--seed", type=int, default=None, help="Same seed, same frames; random unless given.")
@click.option("--model", default="standard", show_default=True, help="standard or turbo.")
@click.option("--style", default=None, help="A style's name.")
@click.option("--step-counter", is_flag=True, help="Show the steps while the clip is refined.")
@click.option("--exercise", default=None, help="A line for the upper left corner of every frame.")
def render(
    prompt: str,
    output: Path,
    size: str,
    seconds: int,
    fps: int,
    seed: int | None,
    model: str,
    style: str | None,
    step_counter: bool,
    exercise: str | None,
) -> None:
    """Render PROMPT to an MP4. The clip is synthetic and says so."""
    from fake_model import PipelineError, VideoPipeline

    chosen = secrets.randbelow(2**32) if seed is None else seed
    quiet = not sys.stderr.isatty()

    def show(done: int, total: int) -> None:
        if not quiet and (done % 10 == 0 or done == total):
            click.echo(f"\rframe {done} of {total}", nl=done == total, err=True)

    try:
        clip = VideoPipeline()(
            prompt,
            output=output,
            size=size,
            seconds=seconds,
            fps=fps,
            model=model,
            style=style,
            seed=chosen,
            encoder_threads=2,
            step_counter=step_counter,
            exercise=exercise,
            on_frame=show,
        )
    except PipelineError as exc:
        click.echo(f"leakdrill: {exc}", err=True)
        sys.exit(2)
    click.echo(
        f"{clip.path}: {clip.width}x{clip.height}, {clip.num_frames} frames at {clip.fps} fps, "
        f"{clip.bytes / 1e6:.1f} MB, seed {clip.seed}"
    )
