// Notes stay in this browser: no server gets them, so that no other page and no log can show them.
const KEY = "leakdrill-private-notes";
const notes = document.getElementById("notes");
const answer = document.querySelector(".answer");

function tell(words) {
  answer.textContent = words;
  answer.hidden = false;
}

function keep() {
  try {
    localStorage.setItem(KEY, notes.value);
    answer.hidden = true;
  } catch {
    tell("This browser does not keep the notes: copy them before the page is closed.");
  }
}

notes.value = localStorage.getItem(KEY) || "";
notes.addEventListener("input", keep);
document.getElementById("clear").addEventListener("click", () => {
  notes.value = "";
  localStorage.removeItem(KEY);
  tell("The notes are gone from this browser.");
  answer.focus();
});
