// The class card of the instructor's page: open a class, watch its seats fill, free one of them, end the class.
import { part, put } from "/control-static/live.js";

const find = (selector) => document.querySelector(selector);
const NOTHING = "Nothing was done.";

// The field as the server takes it: null where it is empty, a number where it is one, else what was typed.
function students(text) {
  const typed = text.trim();
  return typed === "" ? null : /^[0-9]+$/.test(typed) ? Number(typed) : typed;
}

function seatLine(seat, free) {
  const item = document.createElement("li");
  for (const name of ["who", "state"]) {
    const span = document.createElement("span");
    span.className = name;
    item.append(span, " ");
  }
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Reset";
  button.addEventListener("click", () => free(seat));
  item.append(button);
  return item;
}

// Written in place: who is about to press a button there keeps it, and the focus.
function paintSeats(list, seats, free) {
  const key = JSON.stringify(seats.map((one) => [one.seat, one.name]));
  if (list.dataset.key !== key) {
    list.dataset.key = key;
    list.replaceChildren(...seats.map((one) => seatLine(one.seat, free)));
  }
  seats.forEach((one, place) => {
    const item = list.children[place];
    item.dataset.state = one.state;
    put(item.querySelector(".who"), `${one.seat} ${one.name}`);
    put(item.querySelector(".state"), one.words);
    item.querySelector("button").setAttribute("aria-label", `Reset seat ${one.seat}, ${one.name}`);
  });
}

// What the page does elsewhere too comes in; what paints this card, each second, goes out.
export function classCard({ act, confirmed, post, submitted, tell }) {
  // Answers stand below both forms, for an answer may come when the other form has taken the place of the first.
  const card = find("#classroom");

  // Asks once, with what the server says it would take. Resolves to the preview, or null where nothing is to be done.
  async function sure(path, fields, title, yes) {
    const told = await post(card, path, fields);
    if (told === null) return null;
    if (!told.ok) {
      tell(card, told.words, false);
      return null;
    }
    if (await confirmed({ title, words: told.words, items: told.items, yes: yes(told) })) return told;
    tell(card, NOTHING, true);
    return null;
  }

  async function free(seat) {
    const told = await sure("class-seat-preview", { seat }, "Free this seat?", () => `Free seat ${seat}`);
    if (told) await act(card, "class-seat-reset", { seat, class: told.class });
  }

  submitted("#class-open", async (form) => {
    const wanted = { students: students(form.elements.students.value), names: form.elements.names.value };
    const told = await sure("class-preview", wanted, "Open a class?", ({ seats }) => `Open a class of ${seats}`);
    if (told) await act(card, "class-open", wanted);
  });
  submitted("#class", async () => {
    const ends = ({ tokens }) => `End the class and ${tokens === 1 ? "1 token" : `${tokens} tokens`}`;
    const told = await sure("class-end-preview", {}, "End the class?", ends);
    if (told) await act(card, "class-end", { class: told.class, confirm: "end" });
  });

  return (state) => {
    const found = state.class;
    find("#class-open").hidden = found !== null;
    find("#class").hidden = found === null;
    put(part("join-at"), state.join_at);
    put(part("join-warning"), state.join_warning);
    part("join-warning").hidden = !state.join_warning;
    put(part("code"), found ? found.code : "");
    put(part("taken"), found ? found.words : "");
    paintSeats(part("seats"), found ? found.seats : [], free);
  };
}
