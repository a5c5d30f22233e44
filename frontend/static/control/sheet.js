// The sheet to print, as the class is when the page is opened. It has names, so that it stays behind the login.
const part = (name) => document.querySelector(`[data-part="${name}"]`);

async function fill() {
  let state;
  try {
    const answer = await fetch("/control/state", { cache: "no-store" });
    if (answer.status === 401) return location.reload();
    state = await answer.json();
  } catch {
    part("said").textContent = "The page's own server does not answer. Open this page again when it is back.";
    return;
  }
  const found = state.class;
  if (!found) {
    part("said").textContent = "No class is open, or the gateway does not answer. The control room says which.";
    return;
  }
  part("said").hidden = !state.join_warning;
  part("said").textContent = state.join_warning;
  part("join-at").textContent = state.join_at;
  part("code").textContent = found.code;
  part("names").replaceChildren(
    ...found.seats.map((seat) => {
      const item = document.createElement("li");
      item.textContent = `☐ ${seat.seat} ${seat.name}`;
      return item;
    }),
  );
  part("sheet").hidden = false;
}

document.getElementById("print").addEventListener("click", () => print());
fill();
