// The instructor's page: the state, and what can be done about it. Each answer is put where it was asked for and gets
// the focus; the live region is for the phase alone.
import { classCard } from "/control-static/class.js";
import { part, put, rows, watch } from "/control-static/live.js";
import { send } from "/control-static/poll.js";

const find = (selector) => document.querySelector(selector);
let lost = "";
let choices = null;

const ask = watch("/control/state", (state) => {
  put(part("me"), state.me ? `Logged in as ${state.me}` : "");
  // Other counts of tokens mean another selection; it is not asked for each second.
  if (part("tokens").textContent !== state.tokens) offer();
  for (const name of ["tokens", "pages", "due", "since"]) put(part(name), state[name]);
  part("no-revocation").hidden = state.checklist.length > 0;
  rows(part("log"), state.log.map((line) => [line.room, line.replay, line.actor, line.words]), false);
  lost = state.lost;
  paintClass(state);
});

function tell(form, words, ok) {
  const answer = form.querySelector(".answer");
  answer.dataset.ok = String(ok);
  put(answer, words);
  answer.hidden = false;
  answer.focus();
}

// A second press while the first is under way does nothing.
async function post(form, path, fields) {
  if (form.dataset.busy) return null;
  form.dataset.busy = "yes";
  try {
    return await send(path, fields);
  } finally {
    delete form.dataset.busy;
  }
}

async function act(form, path, fields) {
  const told = await post(form, path, fields);
  if (told === null) return;
  tell(form, told.words, told.ok);
  ask();
}

// Resolves to true where the second button was pressed, with "all" typed where that is asked for.
function confirmed({ title, words, items = [], leftOut = 0, yes, typed = false }) {
  const dialog = find("#confirm");
  put(find("#confirm-title"), title);
  put(part("confirm-words"), words);
  const lines = leftOut ? [...items, `and ${leftOut} more`] : items;
  part("confirm-items").replaceChildren(
    ...lines.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }),
  );
  const field = find("#typed");
  const button = find("#confirm-yes");
  part("confirm-typed").hidden = !typed;
  field.value = "";
  put(button, yes);
  const check = () => {
    button.disabled = typed && field.value.trim() !== "all";
  };
  field.oninput = check;
  check();
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
  });
}

function selection(form) {
  const { kind, which, reason } = form.elements;
  return { kind: kind.value, which: which.value, reason: reason.value.trim() };
}

async function previewed(form, { preview, path, title, yes }) {
  const wanted = selection(form);
  const told = await post(form, preview, wanted);
  if (told === null) return;
  if (!told.ok) return tell(form, told.words, false);
  const everybody = wanted.kind === "all";
  const sure = await confirmed({
    title,
    words: told.words,
    items: told.items,
    leftOut: told.left_out,
    yes: yes(told.tokens),
    typed: everybody,
  });
  if (!sure) return tell(form, "Nothing was done.", true);
  await act(form, path, everybody ? { ...wanted, confirm: "all" } : wanted);
}

const tokens = (number) => (number === 1 ? "1 token" : `${number} tokens`);

const REVOKE = { preview: "preview", path: "revoke", title: "Revoke access?", yes: (number) => `Revoke ${tokens(number)}` };
const RESTORE = { preview: "restore-preview", path: "restore", title: "Restore access?", yes: (number) => `Restore ${tokens(number)}` };

function submitted(id, then) {
  const form = find(id);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!form.dataset.busy) then(form);
  });
}

submitted("#revoke", (form) => previewed(form, REVOKE));
submitted("#restore", (form) => previewed(form, RESTORE));
submitted("#broadcast", (form) => act(form, "broadcast", { text: form.elements.text.value }));
submitted("#reset", async (form) => {
  const sure = await confirmed({ title: "Reset the room?", words: lost, yes: "Reset the room" });
  if (!sure) return tell(form, "Nothing was done.", true);
  await act(form, "reset", { confirm: "reset" });
});
const paintClass = classCard({ act, confirmed, post, submitted, tell });
submitted("#clock", () => {});
submitted("#phase", () => {});

find("#unsay").addEventListener("click", () => {
  find("#line").value = "";
  act(find("#broadcast"), "broadcast", { text: "" });
});
for (const button of document.querySelectorAll("#clock [data-do]")) {
  button.addEventListener("click", () => {
    act(find("#clock"), "clock", { do: button.dataset.do, speed: Number(find("#speed").value) });
  });
}
for (const button of document.querySelectorAll("#phase [data-phase]")) {
  button.addEventListener("click", () => act(find("#phase"), "phase", { phase: button.dataset.phase }));
}
find("#access").addEventListener("click", () => act(find("#phase"), "access", {}));
find("#logout").addEventListener("click", async () => {
  await post(find("#logout"), "logout", {});
  location.reload();
});

// Who can be selected: asked for again when there are other tokens, or other states of them, than before.
function fill(form) {
  const { kind, which } = form.elements;
  form.querySelector("[data-which]").hidden = kind.value === "all";
  which.required = kind.value !== "all";
  if (!choices || kind.value === "all") return;
  const before = which.value;
  // What is revoked already cannot be revoked, and what cannot come back is not offered for that.
  const offered = choices[kind.value].filter((one) => (form.id === "revoke" ? one.ends : one.returns));
  const nobody = { words: form.id === "revoke" ? "None can be revoked" : "None can come back", value: "" };
  which.replaceChildren(...(offered.length ? offered : [nobody]).map((one) => new Option(one.words, one.value)));
  if (offered.some((one) => one.value === before)) which.value = before;
}

async function offer() {
  try {
    const answer = await fetch("/control/choices", { cache: "no-store" });
    if (answer.ok) choices = await answer.json();
  } catch {
    // The banner says when the page's server is gone.
  }
  document.querySelectorAll("[data-selects]").forEach(fill);
}

for (const form of document.querySelectorAll("[data-selects]")) {
  form.elements.kind.addEventListener("change", () => fill(form));
}
