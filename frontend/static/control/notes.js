// Notes stay in this browser: no server gets them, so that no other page and no log can show them. The injects come
// from the scenario; to broadcast one is the same deed as in the room.
const KEY = "leakdrill-private-notes";
const notes = document.getElementById("notes");

function tell(id, words, ok) {
  const answer = document.getElementById(id);
  answer.dataset.ok = String(ok);
  answer.textContent = words;
  answer.hidden = false;
  return answer;
}

function keep() {
  try {
    localStorage.setItem(KEY, notes.value);
    document.getElementById("notes-answer").hidden = true;
  } catch {
    tell("notes-answer", "This browser does not keep the notes: copy them before the page is closed.", false);
  }
}

function kept() {
  try {
    return localStorage.getItem(KEY) || "";
  } catch {
    tell("notes-answer", "This browser does not keep notes. What is written here goes with the page.", false);
    return "";
  }
}

notes.value = kept();
notes.addEventListener("input", keep);
document.getElementById("clear").addEventListener("click", () => {
  notes.value = "";
  keep();
  tell("notes-answer", "The notes are gone from this browser.", true).focus();
});

async function broadcast(inject, button) {
  if (button.dataset.busy) return;
  button.dataset.busy = "yes";
  try {
    const sent = await fetch("/control/broadcast", {
      method: "POST",
      cache: "no-store",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ text: inject.text }),
    });
    if (sent.status === 401) return location.reload();
    const told = await sent.json();
    tell("broadcast-answer", `${inject.id}: ${told.words}`, told.ok).focus();
  } catch {
    tell("broadcast-answer", "The page's own server does not answer. Whether it was done is not known.", false).focus();
  } finally {
    delete button.dataset.busy;
  }
}

function entry(inject) {
  const item = document.createElement("li");
  const lines = [
    ["when", `${inject.when}, to ${inject.to}`],
    ["text", inject.text],
    ["note", `Hoped for: ${inject.expect}`],
  ];
  for (const [name, words] of lines) {
    const line = document.createElement("span");
    line.className = name;
    line.textContent = words;
    item.append(line);
  }
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Broadcast";
  button.setAttribute("aria-label", `Broadcast inject ${inject.id}`);
  button.addEventListener("click", () => broadcast(inject, button));
  item.append(button);
  return item;
}

async function list() {
  const answer = await fetch("/control/injects", { cache: "no-store" });
  if (answer.status === 401) return location.reload();
  const { injects } = await answer.json();
  document.querySelector('[data-part="injects"]').replaceChildren(...injects.map(entry));
}

list().catch(() => tell("broadcast-answer", "The page's own server does not answer. Load this page again.", false));
