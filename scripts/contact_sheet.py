"""Make contact sheets: frames of clips side by side, a row per prompt and style.

    python scripts/contact_sheet.py docs/img/render-sheet.jpg
    python scripts/contact_sheet.py sheet.jpg --prompt "a whale in space" --style none --style saltglass

A row shows the clip from the noise to the end of its motion. The frames come from the pipeline's own spritesheet.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile

from PIL import Image

from fake_model import STYLES, VideoPipeline

PROMPTS = (
    "a lake below mountains at sunset",
    "a dog on a skateboard, neon street in the rain",
    "a sailing boat on the sea at dawn",
    "a rocket passes a planet in space",
)


def row(prompt: str, style: str | None, folder: pathlib.Path) -> Image.Image:
    sheet = folder / "sheet.jpg"
    VideoPipeline()(
        prompt, output=folder / "clip.mp4", size="854x480", seconds=5, fps=10, style=style, spritesheet=sheet
    )
    with Image.open(sheet) as opened:
        return opened.convert("RGB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=pathlib.Path, help="where the JPEG goes")
    parser.add_argument("--prompt", action="append", help="instead of the built-in prompts; may be repeated")
    parser.add_argument("--style", action="append", choices=("none", *STYLES), help="may be repeated")
    options = parser.parse_args()
    styles = [None if name == "none" else name for name in options.style or ("none", "tin-lantern")]
    with tempfile.TemporaryDirectory() as name:
        prompts = options.prompt or PROMPTS
        rows = [row(prompt, style, pathlib.Path(name)) for prompt in prompts for style in styles]
    sheet = Image.new("RGB", (rows[0].width, sum(one.height for one in rows)))
    top = 0
    for one in rows:
        sheet.paste(one, (0, top))
        top += one.height
    sheet.save(options.output, quality=60)
    sys.stdout.write(f"{options.output}: {len(rows)} rows, {options.output.stat().st_size / 1000:.0f} kB\n")


if __name__ == "__main__":
    main()
