// Notes stay in this browser: no server gets them, so that no other page and no log can show them. The injects come
// from the scenario, and where each stands from the event list; every answer is put where it was asked for.
import { part, put } from "/control-static/live.js";
import { Refused, poll, send } from "/control-static/poll.js";

const KEY = "leakdrill-private-notes";
const notes = document.getElementById("notes");
const byClock = document.getElementById("by-clock");
// Which buttons an inject has, by its state.
const DEEDS = [
  ["fire", "Fire", ["waiting", "held"]],
  ["hand", "Told by hand", ["waiting", "held"]],
  ["hold", "Hold", ["waiting"]],
  ["skip", "Skip", ["waiting", "held"]],
  ["wait", "Let it wait", ["held", "skipped"]],
];

function tell(answer, words, ok) {
  answer.dataset.ok = String(ok);
  put(answer, words);
  answer.hidden = false;
  return answer;
}

function keep() {
  try {
    localStorage.setItem(KEY, notes.value);
    document.getElementById("notes-answer").hidden = true;
  } catch {
    tell(document.getElementById("notes-answer"), "This browser does not keep the notes: copy them before the page is closed.", false);
  }
}

function kept() {
  try {
    return localStorage.getItem(KEY) || "";
  } catch {
    tell(document.getElementById("notes-answer"), "This browser does not keep notes. What is written here goes with the page.", false);
    return "";
  }
}

notes.value = kept();
notes.addEventListener("input", keep);
document.getElementById("clear").addEventListener("click", () => {
  notes.value = "";
  keep();
  tell(document.getElementById("notes-answer"), "The notes are gone from this browser.", true).focus();
});

// A second press while the first is under way does nothing.
async function act(place, answer, path, fields) {
  if (place.dataset.busy) return;
  place.dataset.busy = "yes";
  const told = await send(path, fields);
  delete place.dataset.busy;
  if (told === null) return;
  tell(answer, told.words, told.ok).focus();
  ask();
}

function entry(inject) {
  const item = document.createElement("li");
  for (const name of ["when", "state", "text", "note"]) {
    const line = document.createElement("span");
    line.className = name;
    item.append(line);
  }
  put(item.querySelector(".when"), `${inject.id}: ${inject.when}, to ${inject.to}`);
  put(item.querySelector(".text"), inject.text);
  put(item.querySelector(".note"), `Hoped for: ${inject.expect}`);
  const buttons = document.createElement("span");
  buttons.className = "buttons";
  const answer = document.createElement("p");
  answer.className = "answer";
  answer.tabIndex = -1;
  answer.hidden = true;
  for (const [deed, words] of DEEDS) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.deed = deed;
    button.textContent = words;
    button.setAttribute("aria-label", `${words}: inject ${inject.id}`);
    button.addEventListener("click", () => act(item, answer, "inject", { id: inject.id, do: deed }));
    buttons.append(button);
  }
  item.append(buttons, answer);
  return item;
}

// Written in place: who is about to press a button there keeps it, and the focus.
function paint(state) {
  const list = part("injects");
  if (list.children.length !== state.injects.length) list.replaceChildren(...state.injects.map(entry));
  state.injects.forEach((inject, place) => {
    const item = list.children[place];
    item.dataset.state = inject.due ? "due" : inject.state;
    put(item.querySelector(".state"), inject.words);
    for (const [deed, , states] of DEEDS) {
      item.querySelector(`[data-deed="${deed}"]`).hidden = !states.includes(inject.state);
    }
  });
  if (!byClock.dataset.busy) byClock.checked = state.by_clock;
  put(part("due"), state.due ? `${state.due} due now` : "");
  away(state.away ? "The gateway is away; this is what it said last." : "");
}

function away(words) {
  put(part("away"), words);
  part("away").hidden = !words;
}

byClock.addEventListener("change", () =>
  act(byClock, document.getElementById("injects-answer"), "inject-clock", { on: byClock.checked }),
);
const ask = poll("/control/injects", paint, (error) => {
  away(error instanceof Refused ? error.message : "The page's own server does not answer. It is asked again every second.");
});
