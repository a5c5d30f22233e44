// The exercise so far, as it is when the page is opened; load it again for a newer one. All text goes in as text.
import { part, put, rows } from "/control-static/live.js";

const HEADED = { times: true, exposures: false, phases: false, revocations: false, injects: true, broadcasts: false, log: false };

function table(name, cells, headed) {
  const body = part(name);
  rows(body, cells, headed);
  const scroll = body.closest(".scroll");
  scroll.hidden = cells.length === 0;
  const none = scroll.previousElementSibling;
  if (none && none.classList.contains("none")) none.hidden = cells.length > 0;
}

function list(place, lines) {
  place.replaceChildren(
    ...lines.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }),
  );
}

async function fill() {
  let found;
  try {
    const answer = await fetch("/control/after-action/state", { cache: "no-store" });
    if (answer.status === 401) return location.reload();
    found = await answer.json();
    if (!answer.ok) throw new Error(found.words);
  } catch (error) {
    put(part("said"), error instanceof TypeError ? "The page's own server does not answer. Load this page again." : error.message);
    return;
  }
  put(part("said"), found.old);
  part("said").hidden = !found.old;
  put(part("printed"), found.printed);
  list(part("figures"), found.figures);
  for (const [name, headed] of Object.entries(HEADED)) table(name, found[name], headed);
  table("checklist", found.checklist.map((line) => [line.surface, line.state, line.words]), true);
  put(part("left_out"), found.left_out);
  part("left_out").hidden = !found.left_out;
  part("report").hidden = false;
}

document.getElementById("print").addEventListener("click", () => print());
fill();
