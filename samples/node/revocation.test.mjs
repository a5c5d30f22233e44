// Does our client notice that its token was revoked? For your own continuous integration, beside a running gateway:
//
//   LEAKDRILL_ADMIN_TOKEN=$(cat .leakdrill/admin.token) node --test revocation.test.mjs
import assert from "node:assert/strict";
import { test } from "node:test";

const api = process.env.LEAKDRILL_URL ?? "http://127.0.0.1:8000";

async function admin(path, body) {
  const headers = { Authorization: `Bearer ${process.env.LEAKDRILL_ADMIN_TOKEN}`, "Content-Type": "application/json" };
  const answer = await fetch(`${api}/control/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return answer.json();
}

// Put your own client here.
const listVideos = (token) => fetch(`${api}/v1/videos`, { headers: { Authorization: `Bearer ${token}` } });

test("a revoked token is refused at the next call", async () => {
  const { token, accessor } = await admin("tokens", { principal: "our-service", cohort: "early-access" });
  assert.equal((await listVideos(token)).status, 200);

  const effect = await admin("revocations", { selector: { accessor }, reason: "a test" });

  assert.equal(effect.tokens, 1);
  const refused = await listVideos(token);
  assert.equal(refused.status, 401);
  assert.equal((await refused.json()).error.code, "invalid_api_key");
});
