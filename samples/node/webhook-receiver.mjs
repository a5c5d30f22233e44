// A webhook receiver that believes only what it can verify, and takes each event once.
//
//   LEAKDRILL_WEBHOOK_SECRET=whsec_… PORT=9000 node webhook-receiver.mjs
//
// The signature is that of https://www.standardwebhooks.com: HMAC-SHA256 over id, timestamp and the raw body.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const key = Buffer.from(process.env.LEAKDRILL_WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
const oldestSeconds = 300;
const seen = new Set();

function verified(headers, body) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!/^\d+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > oldestSeconds) return false;
  const expected = Buffer.from(`v1,${createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64")}`);
  // Several signatures while a secret is rotated; one that verifies is enough.
  return (headers["webhook-signature"] ?? "").split(" ").some((one) => {
    const given = Buffer.from(one);
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}

createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  if (!verified(request.headers, body)) return response.writeHead(401).end();
  if (!seen.has(request.headers["webhook-id"])) { // delivery is at least once
    seen.add(request.headers["webhook-id"]);
    const event = JSON.parse(body);
    console.log(event.type, event.data.id);
  }
  response.writeHead(204).end();
}).listen(Number(process.env.PORT ?? 9000), "127.0.0.1");
