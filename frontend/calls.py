"""The order on the page as a call of the API, in three languages, ready to be pasted once the token is put in."""

from __future__ import annotations

import json
import shlex

from frontend.client import Order

# Fixed, so that no part of a real token can reach the browser.
MASKED = "ldk_••••••••"


def calls(order: Order, gateway_url: str) -> dict[str, str]:
    """By language: what orders this clip, waits for it and saves it as clip.mp4."""
    return {
        "curl": _curl(order, gateway_url),
        "Python": _python(order, gateway_url),
        "JavaScript": _javascript(order, gateway_url),
    }


def _curl(order: Order, gateway_url: str) -> str:
    bearer = f'  -H "Authorization: Bearer {MASKED}"'
    video = f"{gateway_url}/v1/videos/VIDEO_ID"
    return (
        f"curl {shlex.quote(gateway_url + '/v1/videos')} \\\n"
        f"{bearer} \\\n"
        '  -H "Content-Type: application/json" \\\n'
        f"  -d {shlex.quote(json.dumps(order.body(), ensure_ascii=False))}\n\n"
        "# again until its status is completed, with the id of the answer above\n"
        f"curl {shlex.quote(video)} \\\n{bearer}\n\n"
        f"curl {shlex.quote(video + '/content')} \\\n{bearer} \\\n  -o clip.mp4"
    )


def _python(order: Order, gateway_url: str) -> str:
    fields = "".join(f"    {key!r}: {value!r},\n" for key, value in order.body().items())
    return (
        "# pip install httpx\n"
        "import pathlib\n"
        "import time\n\n"
        "import httpx\n\n"
        "gateway = httpx.Client(\n"
        f"    base_url={gateway_url!r},\n"
        f'    headers={{"Authorization": "Bearer {MASKED}"}},\n'
        ")\n"
        f'video = gateway.post("/v1/videos", json={{\n{fields}}}).json()\n'
        'while video.get("status") in ("queued", "in_progress"):\n'
        "    time.sleep(1)\n"
        "    video = gateway.get(f\"/v1/videos/{video['id']}\").json()\n"
        'if video.get("status") != "completed":\n'
        "    raise SystemExit(f\"no clip: {video.get('error')}\")\n"
        "clip = gateway.get(f\"/v1/videos/{video['id']}/content\")\n"
        'pathlib.Path("clip.mp4").write_bytes(clip.raise_for_status().content)'
    )


def _javascript(order: Order, gateway_url: str) -> str:
    body = json.dumps(order.body(), ensure_ascii=False, indent=2)
    return (
        "// save as clip.mjs and run: node clip.mjs\n"
        'import { writeFile } from "node:fs/promises";\n\n'
        f"const videos = {json.dumps(gateway_url + '/v1/videos')};\n"
        "const headers = {\n"
        f'  Authorization: "Bearer {MASKED}",\n'
        '  "Content-Type": "application/json",\n'
        "};\n"
        f"const order = {body};\n\n"
        'let answer = await fetch(videos, { method: "POST", headers, body: JSON.stringify(order) });\n'
        "let video = await answer.json();\n"
        'while (video.status === "queued" || video.status === "in_progress") {\n'
        "  await new Promise((done) => setTimeout(done, 1000));\n"
        "  answer = await fetch(`${videos}/${video.id}`, { headers });\n"
        "  video = await answer.json();\n"
        "}\n"
        'if (video.status !== "completed") throw new Error(`no clip: ${JSON.stringify(video.error)}`);\n'
        "const clip = await fetch(`${videos}/${video.id}/content`, { headers });\n"
        "if (!clip.ok) throw new Error(`no clip: ${clip.status}`);\n"
        'await writeFile("clip.mp4", Buffer.from(await clip.arrayBuffer()));'
    )
