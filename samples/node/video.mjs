// Create a video, poll until it has ended, download it, end the token, and see that it has ended.
//
//   LEAKDRILL_TOKEN=ldk_… node video.mjs        (Node 20 or newer, no packages)
import { writeFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";

const api = process.env.LEAKDRILL_URL ?? "http://127.0.0.1:8000";
const token = process.env.LEAKDRILL_TOKEN;

async function call(path, options = {}) {
  const answer = await fetch(api + path, { ...options, headers: { Authorization: `Bearer ${token}`, ...options.headers } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer;
}

const body = JSON.stringify({ prompt: "a dog on a skateboard", seconds: "4" });
let video = await (await call("/v1/videos", { method: "POST", body, headers: { "Content-Type": "application/json" } })).json();
while (video.status === "queued" || video.status === "in_progress") {
  await pause(500);
  video = await (await call(`/v1/videos/${video.id}`)).json();
}
console.log(`${video.id} is ${video.status}`);
await writeFile("clip.mp4", new Uint8Array(await (await call(`/v1/videos/${video.id}/content`)).arrayBuffer()));

// RFC 7009: whoever holds a token may end it.
await fetch(`${api}/oauth/revoke`, { method: "POST", body: new URLSearchParams({ token }) });
const refused = await fetch(`${api}/v1/videos`, { headers: { Authorization: `Bearer ${token}` } });
console.log(`the token is now answered ${refused.status}`);
