"""Drives one published client against two gateways and prints what came back as one JSON document.

Usage: python videos.py CLIENT FOLDER PICTURE, with two lines on standard input, in the environment that
requirements.txt pins. Each line is a JSON object `url`, `token`, `accessor`, `admin`: first a gateway whose worker
renders, then one without a worker, where a job waits until its token is revoked. Clips are written to FOLDER.
"""

import base64
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

elsewhere: list[str] = []
links: list[str] = []


def _watch(event: str, details: tuple[Any, ...]) -> None:
    """Notes every address outside this machine."""
    if event == "socket.connect" and isinstance(details[1], tuple) and details[1][0] not in ("127.0.0.1", "::1"):
        elsewhere.append(str(details[1]))
    if event == "socket.getaddrinfo" and details[0] not in ("127.0.0.1", "localhost", None):
        elsewhere.append(str(details[0]))


sys.addaudithook(_watch)

PROMPT = "a dog on a skateboard"
WITHIN = 60.0


def ask(there: dict[str, str], method: str, path: str, body: Any = None) -> Any:
    """A call as the admin."""
    request = urllib.request.Request(there["url"] + path, method=method)
    request.add_header("Authorization", f"Bearer {there['admin']}")
    if body is not None:
        request.add_header("Content-Type", "application/json")
        request.data = json.dumps(body).encode()
    with urllib.request.urlopen(request, timeout=WITHIN) as answer:
        return json.load(answer)


def revoke(there: dict[str, str]) -> dict[str, int]:
    """Ends the token; how many of its jobs that ended."""
    body = {"selector": {"accessor": there["accessor"]}, "reason": "drill"}
    jobs: dict[str, int] = ask(there, "POST", "/control/revocations", body)["jobs"]
    return jobs


def once_it_waits(there: dict[str, str]) -> dict[str, int]:
    """Revokes as soon as a job is in line."""
    deadline = time.monotonic() + WITHIN
    while ask(there, "GET", "/status")["queue"]["waiting"] == 0:
        if time.monotonic() > deadline:
            raise AssertionError("no job came")
        time.sleep(0.02)
    return revoke(there)


def saved(url: str, path: Path) -> str:
    """The clip behind a link, which no header opens."""
    links.append(url)
    with urllib.request.urlopen(url, timeout=WITHIN) as answer:
        path.write_bytes(answer.read())
    return str(path)


def refused(call: Callable[[], object]) -> dict[str, Any]:
    """What a call raises, by what its client shows of it."""
    try:
        call()
    except Exception as exc:  # noqa: BLE001  the test asks for its name
        response = getattr(exc, "response", None)
        status = getattr(exc, "status_code", None) or getattr(exc, "status", None)
        status = status or getattr(response, "status_code", None)
        code = getattr(exc, "error_type", None) or getattr(exc, "type", None)
        return {"name": type(exc).__name__, "status": status, "code": code, "text": str(exc)}
    return {"name": None}


def status_of(url: str) -> int:
    """What a link answers now."""
    try:
        with urllib.request.urlopen(url, timeout=WITHIN) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as exc:
        return exc.code


def with_fal(here: dict[str, str], idle: dict[str, str], folder: Path, picture: str) -> dict[str, Any]:
    import fal_client
    import fal_client.client

    found: dict[str, Any] = {}
    small = {"prompt": PROMPT, "resolution": "480p", "aspect_ratio": "1:1", "duration": "1", "seed": 7}
    fal_client.client.QUEUE_URL_FORMAT = f"{here['url']}/fal/"
    client = fal_client.SyncClient(key=here["token"])
    seen: list[Any] = []
    result = client.subscribe("leakdrill/turbo", small, with_logs=True, on_queue_update=seen.append)
    found["result"], found["seen"] = result, [type(one).__name__ for one in seen]
    found["clip"] = saved(result["video"]["url"], folder / "fal.mp4")

    handle = client.submit(
        "leakdrill/turbo", {"prompt": PROMPT, "image_url": picture, "duration": 1}, path="image-to-video"
    )
    found["from_picture"] = saved(handle.get()["video"]["url"], folder / "fal-picture.mp4")
    # By its id alone, as another process would.
    found["by_id"] = client.result("leakdrill/turbo", handle.request_id)["video"]["file_name"]
    found["file_name"] = f"{handle.request_id}.mp4"
    found["cancel_late"] = refused(handle.cancel)
    found["no_app"] = refused(lambda: client.submit("leakdrill/none", small))
    found["bad_ratio"] = refused(lambda: client.submit("leakdrill/turbo", {**small, "aspect_ratio": "4:5"}))
    found["webhook"] = refused(lambda: client.submit("leakdrill/turbo", small, webhook_url="https://example.com/"))
    found["wrong_key"] = refused(lambda: fal_client.SyncClient(key="ldk_wrong").submit("leakdrill/turbo", small))

    fal_client.client.QUEUE_URL_FORMAT = f"{idle['url']}/fal/"
    client = fal_client.SyncClient(key=idle["token"])
    handle = client.submit("leakdrill/standard", small)
    found["waits"] = vars(handle.status())
    handle.cancel()
    found["cancelled"] = refused(handle.get)
    # In the middle of its own polling.
    found["revoked"] = refused(
        lambda: client.subscribe(
            "leakdrill/standard", small, on_enqueue=lambda _: found.update(jobs=revoke(idle)), with_logs=True
        )
    )
    found["submit_after"] = refused(lambda: client.submit("leakdrill/standard", small))
    return found


def with_replicate(here: dict[str, str], idle: dict[str, str], folder: Path, picture: str) -> dict[str, Any]:
    import replicate

    found: dict[str, Any] = {}
    small = {"prompt": PROMPT, "resolution": "480p", "aspect_ratio": "1:1", "duration": 1, "seed": 7}
    client = replicate.Client(base_url=f"{here['url']}/replicate", api_token=here["token"])
    link = client.run("leakdrill/turbo", input=small)
    found["clip"] = saved(link, folder / "replicate.mp4")

    model = client.models.get("leakdrill/turbo")
    version = model.latest_version
    prediction = client.predictions.create(version=version, input={"prompt": PROMPT, "image": picture, "duration": 1})
    found["created"] = prediction.status
    prediction.wait()
    found["prediction"] = {"status": prediction.status, "model": prediction.model, "input": prediction.input}
    found["from_picture"] = saved(prediction.output, folder / "replicate-picture.mp4")
    found["by_version"] = client.run(f"leakdrill/turbo:{version.id}", input=small).startswith(f"{here['url']}/media/")
    found["held"] = client.models.predictions.create("leakdrill/turbo", input=small, wait=30).status
    found["listed"] = [one.status for one in client.predictions.list()]
    found["bad_ratio"] = refused(lambda: client.run("leakdrill/turbo", input={**small, "aspect_ratio": "4:5"}))
    found["bad_duration"] = refused(lambda: client.run("leakdrill/turbo", input={**small, "duration": 13}))
    found["no_model"] = refused(lambda: client.run("leakdrill/none", input=small))
    found["no_version"] = refused(lambda: client.predictions.create(version="0" * 64, input=small))
    hooked = {"version": version, "input": small, "webhook": "https://example.com/"}
    found["webhook"] = refused(lambda: client.predictions.create(**hooked))
    wrong = replicate.Client(base_url=f"{here['url']}/replicate", api_token="ldk_wrong")
    found["wrong_key"] = refused(wrong.predictions.list)

    client = replicate.Client(base_url=f"{idle['url']}/replicate", api_token=idle["token"])
    prediction = client.models.predictions.create("leakdrill/standard", input=small, wait=1)
    found["waits"] = prediction.status
    prediction.cancel()
    found["cancelled"] = prediction.status
    # In the middle of a creation that is held open.
    running = threading.Thread(
        target=lambda: found.update(revoked=refused(lambda: client.run("leakdrill/standard", input=small)))
    )
    running.start()
    found["jobs"] = once_it_waits(idle)
    running.join(WITHIN)
    found["list_after"] = refused(client.predictions.list)
    return found


def with_together(here: dict[str, str], idle: dict[str, str], folder: Path, picture: str) -> dict[str, Any]:
    import together

    found: dict[str, Any] = {}
    small: dict[str, Any] = {"prompt": PROMPT, "resolution": "480p", "ratio": "1:1", "seconds": "1", "seed": 7}
    client = together.Together(base_url=f"{here['url']}/together", api_key=here["token"])

    def ended(video: Any) -> Any:
        deadline = time.monotonic() + WITHIN
        while video.status == "in_progress":
            if time.monotonic() > deadline:
                raise AssertionError(f"{video.id} is still {video.status}")
            time.sleep(0.05)
            video = client.videos.retrieve(video.id)
        return video

    video = ended(client.videos.create(model="leakdrill/turbo", **small))
    found["video"] = video.model_dump(mode="json")
    found["clip"] = saved(video.outputs.video_url, folder / "together.mp4")
    media = {"frame_images": [{"input_image": picture, "frame": "first"}]}
    video = ended(client.videos.create(model="leakdrill/turbo", prompt=PROMPT, seconds="1", media=media))
    found["from_picture"] = saved(video.outputs.video_url, folder / "together-picture.mp4")
    strict = together.Together(
        base_url=f"{here['url']}/together", api_key=here["token"], _strict_response_validation=True
    )
    found["strict"] = strict.videos.retrieve(video.id).status
    found["bad_size"] = refused(lambda: client.videos.create(model="leakdrill/turbo", prompt="x", width=640, height=1))
    found["no_model"] = refused(lambda: client.videos.create(model="leakdrill/none", **small))
    wrong = together.Together(base_url=f"{here['url']}/together", api_key="ldk_wrong")
    found["wrong_key"] = refused(lambda: wrong.videos.retrieve("video_1"))

    client = together.Together(base_url=f"{idle['url']}/together", api_key=idle["token"])
    video = client.videos.create(model="leakdrill/standard", **small)
    found["waits"] = video.status
    found["jobs"] = revoke(idle)
    # In the middle of the caller's own loop.
    found["revoked"] = refused(lambda: ended(video))
    found["submit_after"] = refused(lambda: client.videos.create(model="leakdrill/standard", **small))
    return found


def with_hugging_face(here: dict[str, str], idle: dict[str, str], folder: Path, picture: str) -> dict[str, Any]:
    # The lines of the page that point the client at a gateway.
    lines = (folder / "setup.txt").read_text()

    def point_at(there: dict[str, str]) -> None:
        exec(lines.replace("http://127.0.0.1:8000", there["url"]), {})

    point_at(here)
    import huggingface_hub

    found: dict[str, Any] = {"clips": {}, "revoked": {}, "jobs": {}}
    # Its own names for the size are those of each provider.
    shape = {"fal-ai": {"aspect_ratio": "1:1"}, "replicate": {"aspect_ratio": "1:1"}, "together": {"ratio": "1:1"}}
    for provider, ratio in shape.items():
        client = huggingface_hub.InferenceClient(provider=cast(Any, provider), api_key=here["token"])
        options: dict[str, Any] = {
            "num_frames": 30,
            "negative_prompt": ["fog", "text"],
            "seed": 7,
            "num_inference_steps": 4,
        }
        more = {"resolution": "480p", **ratio}
        clip = client.text_to_video(PROMPT, model="leakdrill/turbo", extra_body=more, **options)
        (folder / f"{provider}.mp4").write_bytes(clip)
        found["clips"][provider] = str(folder / f"{provider}.mp4")
        if provider != "replicate":
            first = base64.b64decode(picture.partition(",")[2])
            model = "leakdrill/turbo-image-to-video"
            clip = client.image_to_video(first, prompt=PROMPT, model=model, num_frames=30)
            (folder / f"{provider}-picture.mp4").write_bytes(clip)
            found["clips"][f"{provider}, picture"] = str(folder / f"{provider}-picture.mp4")
    wrong = huggingface_hub.InferenceClient(provider="together", api_key="ldk_wrong")
    found["wrong_key"] = refused(lambda: wrong.text_to_video(PROMPT, model="leakdrill/turbo"))
    found["no_model"] = refused(lambda: client.text_to_video(PROMPT, model="leakdrill/none"))

    point_at(idle)
    for provider in shape:
        person = ask(idle, "POST", "/control/tokens", {"principal": provider, "cohort": "alpha"})
        client = huggingface_hub.InferenceClient(provider=cast(Any, provider), api_key=person["token"])

        def until_refused(client: Any = client, provider: str = provider) -> None:
            found["revoked"][provider] = refused(lambda: client.text_to_video(PROMPT, model="leakdrill/turbo"))

        waiting = threading.Thread(target=until_refused)
        waiting.start()
        found["jobs"][provider] = once_it_waits({**idle, "accessor": person["accessor"]})
        waiting.join(WITHIN)
    return found


DRIVERS = {"fal": with_fal, "replicate": with_replicate, "together": with_together, "hugging_face": with_hugging_face}


def main() -> None:
    client, folder, picture = sys.argv[1:]
    here, idle = (json.loads(sys.stdin.readline()) for _ in range(2))
    url = "data:image/png;base64," + base64.b64encode(Path(picture).read_bytes()).decode()
    found = DRIVERS[client](here, idle, Path(folder), url)
    before = [status_of(link) for link in links]
    revoke(here)
    found["links"] = {"before": before, "after": [status_of(link) for link in links]}
    json.dump({**found, "elsewhere": elsewhere}, sys.stdout, default=str)


if __name__ == "__main__":
    main()
