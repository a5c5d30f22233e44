// Sends the admin token once, in a body, and forgets it. Nothing is stored in the browser but the cookie, which no
// script can read.
(() => {
  "use strict";
  const form = document.getElementById("login");
  const answer = document.getElementById("answer");
  const button = form.querySelector("button");

  function tell(words) {
    answer.textContent = words;
    answer.hidden = false;
    answer.focus();
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    const fields = { token: form.elements.token.value.trim(), name: form.elements.name.value };
    form.elements.token.value = "";
    try {
      const sent = await fetch("/control/login", {
        method: "POST",
        cache: "no-store",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(fields),
      });
      const told = await sent.json();
      if (told.ok) return location.reload();
      tell(told.words);
    } catch {
      tell("The page's own server does not answer. Try again in a moment.");
    } finally {
      button.disabled = false;
    }
  });
})();
