// Asks for a state each second while the page is visible. `got` takes each answer, `lost` is told when none comes.
const TIMEOUT_MS = 8000;

// What is answered where the gateway is away but the page's server is not.
export class Refused extends Error {}

export function poll(url, got, lost) {
  let asking = false;
  let again = false;

  async function ask() {
    if (asking) {
      again = true;
      return;
    }
    if (document.visibilityState !== "visible") return;
    asking = true;
    const controller = new AbortController();
    const deadline = setTimeout(() => controller.abort(), TIMEOUT_MS);
    try {
      const answer = await fetch(url, { cache: "no-store", signal: controller.signal });
      if (answer.status === 401) return location.reload();
      if (answer.status === 503) throw new Refused((await answer.json()).words);
      if (!answer.ok) throw new Error(answer.statusText);
      got(await answer.json());
    } catch (error) {
      lost(error);
    } finally {
      clearTimeout(deadline);
      asking = false;
      if (again) {
        again = false;
        ask();
      }
    }
  }

  document.addEventListener("visibilitychange", ask);
  setInterval(() => asking || ask(), 1000);
  ask();
  return ask;
}

// A deed. Resolves to the server's answer, or to null where the page is about to be loaded again.
export async function send(path, fields) {
  try {
    const answer = await fetch(`/control/${path}`, {
      method: "POST",
      cache: "no-store",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(fields),
    });
    if (answer.status === 401) {
      location.reload();
      return null;
    }
    return await answer.json();
  } catch {
    return { ok: false, words: "The page's own server does not answer. Whether it was done is not known: look at the log." };
  }
}
