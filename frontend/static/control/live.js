// What the room and the projector have in common: they ask for the state each second while they are visible, and put
// it where it belongs. All text goes in as text; nothing that came from a person is ever read as HTML.
import { draw } from "/control-static/chart.js";
import { poll } from "/control-static/poll.js";

const LOST = {
  phase: "lost",
  headline: "Page disconnected",
  detail: "This page's own server does not answer. It is asked again every second.",
};
const TIME = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };

export const part = (name) => document.querySelector(`[data-part="${name}"]`);

export function put(element, words) {
  // Writing an equal text would still count as a change for a screen reader.
  const text = words === undefined || words === null ? "" : String(words);
  if (element && element.textContent !== text) element.textContent = text;
}

export function rows(body, cells, headed) {
  const key = JSON.stringify(cells);
  if (body.dataset.key === key) return;
  body.dataset.key = key;
  body.replaceChildren(
    ...cells.map((row) => {
      const line = document.createElement("tr");
      row.forEach((cell, column) => {
        const element = document.createElement(headed && column === 0 ? "th" : "td");
        if (element.tagName === "TH") element.scope = "row";
        element.textContent = cell;
        line.append(element);
      });
      return line;
    }),
  );
}

let phase = null;
let shown = null;

function banner(state) {
  const element = document.getElementById("banner");
  element.dataset.phase = state.phase;
  for (const name of ["headline", "detail"]) put(part(name), state[name]);
  put(part("room-time"), new Date().toLocaleTimeString([], TIME));
  if (phase !== null && phase !== state.phase) {
    put(document.getElementById("announcer"), `${state.headline}. ${state.detail}`);
  }
  phase = state.phase;
}

function checklist(state) {
  const list = part("checklist");
  const key = JSON.stringify(state.checklist);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(
    ...state.checklist.map((line) => {
      const item = document.createElement("li");
      item.dataset.state = line.state;
      for (const [name, words] of [["surface", line.surface], ["state", line.state], ["words", line.words]]) {
        const span = document.createElement("span");
        span.className = name;
        span.textContent = words;
        item.append(span, " ");
      }
      return item;
    }),
  );
}

function chart(timeline) {
  const place = part("chart");
  if (!timeline) {
    place.replaceChildren();
    put(part("summary"), "Nothing has happened yet.");
    return;
  }
  draw(place, timeline);
  put(part("summary"), timeline.summary);
  if (part("note")) put(part("note"), timeline.note);
  if (part("rows")) rows(part("rows"), timeline.rows, true);
}

// What was known last stays while the gateway or the page's server is away; the banner says so.
function paint(state) {
  banner(state);
  if (!state.counts) return;
  shown = state;
  for (const name of ["clock", "queue", "waiting", "running_jobs", "unread", "bystanders"]) put(part(name), state[name]);
  for (const name of ["errs", "broadcast", "old_words"]) {
    put(part(name), state[name]);
    part(name).hidden = !state[name];
  }
  for (const [name, number] of Object.entries(state.counts)) {
    put(document.querySelector(`[data-count="${name}"]`), number);
  }
  checklist(state);
  chart(state.timeline);
}

// `url` is asked each second; `more` paints what only this page shows.
export function watch(url, more) {
  const got = (state) => {
    paint(state);
    if (more && state.counts) more(state);
  };
  addEventListener("resize", () => shown && chart(shown.timeline));
  return poll(url, got, () => paint(LOST));
}
