// Drives the published Node clients of fal and Replicate against two gateways and prints what came back as one JSON
// document. Usage: node videos.mjs FOLDER, with two lines on standard input, each a JSON object `url`, `token`,
// `accessor`, `admin`: a gateway whose worker renders, then one without a worker, where jobs wait.

import { readFileSync, writeFileSync } from "node:fs";
import { createFalClient } from "@fal-ai/client";
import Replicate from "replicate";

const folder = process.argv[2];
const [here, idle] = readFileSync(0, "utf8").trim().split("\n").map((line) => JSON.parse(line));
const small = { prompt: "a dog on a skateboard", resolution: "480p", aspect_ratio: "1:1", duration: 1, seed: 7 };
const found = {};

async function ask(there, method, path, body) {
  const headers = { Authorization: `Bearer ${there.admin}`, "Content-Type": "application/json" };
  const answer = await fetch(there.url + path, { method, headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status}`);
  return answer.json();
}

async function person(there, principal) {
  return { ...there, ...(await ask(there, "POST", "/control/tokens", { principal, cohort: "alpha" })) };
}

async function revoke(there) {
  const body = { selector: { accessor: there.accessor }, reason: "drill" };
  return (await ask(there, "POST", "/control/revocations", body)).jobs;
}

async function onceItWaits(there) {
  const deadline = Date.now() + 60_000;
  while ((await ask(there, "GET", "/status")).queue.waiting === 0) {
    if (Date.now() > deadline) throw new Error("no job came");
    await new Promise((done) => setTimeout(done, 20));
  }
  return revoke(there);
}

async function saved(url, name) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  writeFileSync(`${folder}/${name}`, Buffer.from(await answer.arrayBuffer()));
  return `${folder}/${name}`;
}

async function refused(promise) {
  try {
    await promise;
    return null;
  } catch (error) {
    return { name: error.name, status: error.status ?? error.response?.status, body: error.body ?? null };
  }
}

function falAt(there) {
  return createFalClient({
    credentials: there.token,
    requestMiddleware: async (request) => ({
      ...request,
      url: request.url.replace("https://queue.fal.run", `${there.url}/fal`),
    }),
  });
}

function replicateAt(there) {
  return new Replicate({ auth: there.token, baseUrl: `${there.url}/replicate/v1`, useFileOutput: false });
}

{
  const fal = falAt(here);
  const { data, requestId } = await fal.subscribe("leakdrill/turbo", { input: small, logs: true, pollInterval: 50 });
  found.fal = { clip: await saved(data.video.url, "fal.mp4"), same: data.video.file_name === `${requestId}.mp4` };
  found.fal.badRatio = await refused(fal.queue.submit("leakdrill/turbo", { input: { ...small, aspect_ratio: "4:5" } }));
  found.fal.wrongKey = await refused(falAt({ ...here, token: "ldk_wrong" }).queue.submit("leakdrill/turbo", { input: small }));
  const leaked = await person(idle, "fal");
  const falIdle = falAt(leaked);
  const cancelled = await falIdle.queue.submit("leakdrill/turbo", { input: small });
  found.fal.waits = (await falIdle.queue.status("leakdrill/turbo", { requestId: cancelled.request_id })).status;
  await falIdle.queue.cancel("leakdrill/turbo", { requestId: cancelled.request_id });
  const running = refused(falIdle.subscribe("leakdrill/turbo", { input: small, pollInterval: 50 }));
  found.fal.jobs = await onceItWaits(leaked);
  found.fal.revoked = await running;
}
{
  const replicate = replicateAt(here);
  const link = await replicate.run("leakdrill/turbo", { input: small });
  found.replicate = { clip: await saved(link, "replicate.mp4") };
  const pages = [];
  for await (const page of replicate.paginate(replicate.predictions.list)) pages.push(page.length);
  found.replicate.pages = pages;
  found.replicate.badRatio = await refused(replicate.run("leakdrill/turbo", { input: { ...small, aspect_ratio: "4:5" } }));
  found.replicate.wrongKey = await refused(replicateAt({ ...here, token: "ldk_wrong" }).predictions.list());
  const leaked = await person(idle, "replicate");
  const replicateIdle = replicateAt(leaked);
  const prediction = await replicateIdle.predictions.create({ model: "leakdrill/turbo", input: small });
  found.replicate.waits = prediction.status;
  found.replicate.cancelled = (await replicateIdle.predictions.cancel(prediction.id)).status;
  const running = refused(replicateIdle.run("leakdrill/turbo", { input: small }));
  found.replicate.jobs = await onceItWaits(leaked);
  found.replicate.revoked = await running;
}
console.log(JSON.stringify(found));
