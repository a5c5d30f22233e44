// Keeps the banner, the clip's label and the list of this session. It stores nothing in the browser: all of it is
// gone with the page.
(() => {
  "use strict";
  const KEPT = 8;
  const REST_SECONDS = 0.1;
  // Tells this page from others that are open, for the count in the control room; made anew at each load, kept nowhere.
  const NUMBER = [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const clips = [];
  let phase = null;
  let asking = false;

  const find = (selector) => document.querySelector(selector);

  function announce(words) {
    const region = find("#ld-announcer");
    if (region) region.textContent = words;
  }

  function put(element, words) {
    // Writing an equal text would still count as a change for a screen reader.
    if (element && element.textContent !== words) element.textContent = words;
  }

  function paint(state) {
    const banner = find("#ld-banner");
    if (!banner) return;
    banner.dataset.phase = state.phase;
    for (const part of ["headline", "detail", "queue", "clock", "errs", "broadcast"]) {
      put(banner.querySelector(`[data-part="${part}"]`), state[part] || "");
    }
    for (const part of ["errs", "broadcast"]) banner.querySelector(`[data-part="${part}"]`).hidden = !state[part];
    if (phase !== null && phase !== state.phase) {
      announce(`${state.headline}. ${state.detail}`);
      clips.forEach(check);
    }
    phase = state.phase;
  }

  async function ask() {
    const banner = find("#ld-banner");
    if (!banner || asking || document.visibilityState !== "visible") return;
    asking = true;
    const controller = new AbortController();
    const deadline = setTimeout(() => controller.abort(), 5000);
    try {
      const answer = await fetch("state", {
        cache: "no-store",
        headers: { "leakdrill-page": NUMBER },
        signal: controller.signal,
      });
      if (!answer.ok) throw new Error(answer.statusText);
      paint(await answer.json());
    } catch {
      paint({ phase: "lost", headline: banner.dataset.lostHeadline, detail: banner.dataset.lostDetail });
    } finally {
      clearTimeout(deadline);
      asking = false;
    }
  }

  async function check(clip) {
    try {
      const answer = await fetch("clip", {
        method: "POST",
        cache: "no-store",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ video: clip.video, link: clip.link }),
      });
      if (!answer.ok) return;
      const said = await answer.json();
      clip.state = said.state;
      clip.words = said.words;
      if (said.url) clip.link = said.url;
      label(clip);
    } catch {
      // The banner says when the page's server is gone.
    }
  }

  function label(clip) {
    const figure = find(".ld-clip");
    if (figure && figure.dataset.video === clip.video) {
      const note = figure.querySelector(".ld-note");
      put(note, clip.words);
      note.hidden = !clip.words;
      figure.dataset.link = clip.state;
    }
    const item = find(`.ld-history li[data-video="${CSS.escape(clip.video)}"]`);
    if (item) {
      item.dataset.link = clip.state;
      put(item.querySelector(".ld-note"), clip.state === "served" ? "" : clip.words);
    }
  }

  function start(video) {
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
      video.play().catch(() => {});
      return;
    }
    // A clip begins as noise, so one that does not play by itself rests near its end; played, it goes on at the
    // beginning, because it loops.
    const rest = () => {
      if (video.paused && video.currentTime === 0) video.currentTime = Math.max(0, video.duration - REST_SECONDS);
    };
    if (video.readyState >= HTMLMediaElement.HAVE_METADATA) rest();
    else video.addEventListener("loadedmetadata", rest, { once: true });
  }

  function play(clip, video) {
    if (video.getAttribute("src") !== clip.link) {
      video.src = clip.link;
      start(video);
    }
  }

  // A link is short-lived: when the player stumbles over one that merely ran out, it gets the next.
  async function stumbled(clip, video) {
    const before = clip.link;
    await check(clip);
    if (clip.state === "served" && clip.link !== before) play(clip, video);
  }

  function arrived(figure) {
    const video = figure.querySelector("video");
    const { video: id, prompt, about } = figure.dataset;
    const made = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    clips.unshift({ video: id, prompt, about, made, link: video.getAttribute("src"), state: "served", words: "" });
    clips.length = Math.min(clips.length, KEPT);
    video.muted = true;
    start(video);
    list();
  }

  // After a refusal or a cancelled render the stage holds no clip to reuse.
  function build() {
    const figure = document.createElement("figure");
    figure.className = "ld-clip";
    figure.dataset.seen = "yes";
    figure.innerHTML =
      '<div class="ld-stage" data-state="done">' +
      '<video controls playsinline muted loop preload="auto"></video></div><figcaption>' +
      '<span class="ld-prompt"></span> <span class="ld-about"></span><span class="ld-note" hidden></span></figcaption>';
    find("#ld-stage-block .ld-stage").replaceWith(figure);
    return figure;
  }

  async function show(clip) {
    await check(clip);
    if (clip.state !== "served") return;
    const figure = find(".ld-clip") || build();
    figure.dataset.video = clip.video;
    figure.querySelector(".ld-prompt").textContent = clip.prompt;
    figure.querySelector(".ld-about").textContent = clip.about;
    const [width, height] = clip.about.split(",")[0].split("×");
    const stage = figure.querySelector(".ld-stage");
    stage.style.setProperty("--w", width);
    stage.style.setProperty("--h", height);
    const video = figure.querySelector("video");
    video.setAttribute("aria-label", `Clip: ${clip.prompt}`);
    play(clip, video);
    label(clip);
  }

  function list() {
    const section = find(".ld-history");
    if (!section) return;
    section.querySelector('[data-part="empty"]').hidden = clips.length > 0;
    section.querySelector("ol").replaceChildren(...clips.map(entry));
    clips.forEach(label);
  }

  function entry(clip) {
    const item = document.createElement("li");
    item.dataset.video = clip.video;
    const button = document.createElement("button");
    button.type = "button";
    for (const [name, words] of [["ld-when", clip.made], ["ld-prompt", clip.prompt], ["ld-about", clip.about]]) {
      const span = document.createElement("span");
      span.className = name;
      span.textContent = words;
      button.append(span);
    }
    button.addEventListener("click", () => show(clip));
    const note = document.createElement("span");
    note.className = "ld-note";
    item.append(button, note);
    return item;
  }

  // Gradio replaces the inside of a block when the server sends a new one; what is new is read here.
  let lastStatus = null;
  let lastState = null;
  let lastJoined = "";
  function changed() {
    // The first state is asked for as soon as there is a place for it, not at the next full second.
    if (phase === null) ask();
    const figure = find(".ld-clip");
    if (figure && !figure.dataset.seen) {
      figure.dataset.seen = "yes";
      arrived(figure);
    }
    const joined = find(".ld-joined");
    const said = joined ? joined.textContent.trim() : "";
    if (said !== lastJoined) {
      lastJoined = said;
      if (said) announce(said);
    }
    const status = find(".ld-status");
    if (!status) return;
    const bar = status.querySelector("[role=progressbar]");
    const busy = find('.ld-stage[data-state="busy"]');
    if (status.dataset.state === "sent" && lastState !== "sent") bringIntoView(status);
    lastState = status.dataset.state;
    if (busy && bar) busy.style.setProperty("--p", bar.getAttribute("aria-valuenow"));
    if (busy && status.dataset.preview) refine(status.dataset.preview, busy.dataset.previewWords);
    const words = status.dataset.over === "true" ? status.textContent.trim() : null;
    if (words && words !== lastStatus) {
      announce(words);
      // A refusal may be the first news of a revocation that did not change the phase.
      if (status.dataset.tone === "stopped") clips.forEach(check);
    }
    lastStatus = words;
  }

  // Frames of the refinement, each laid over the one before once it has come. One that is refused, or gone by then,
  // leaves what is there: what became of the clip is said by its status.
  const preview = { asked: "", order: 0, shown: 0 };
  function refine(url, words) {
    if (url === preview.asked) return;
    preview.asked = url;
    const order = ++preview.order;
    const frame = new Image();
    frame.className = "ld-preview";
    frame.alt = words;
    frame.addEventListener("load", () => {
      const busy = find('.ld-stage[data-state="busy"]');
      if (!busy || order < preview.shown) return;
      preview.shown = order;
      const before = [...busy.querySelectorAll(".ld-preview")];
      before.slice(0, -1).forEach((old) => old.remove());
      before.slice(-1).forEach((old) => (old.alt = ""));
      busy.append(frame);
    });
    frame.src = url;
  }

  // In one column the clip is a screen below the button.
  function bringIntoView(status) {
    if (!matchMedia("(max-width: 640px)").matches) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const stage = find("#ld-stage-block") || status;
    stage.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest && event.target.closest(".ld-copy");
    if (!button) return;
    const text = button.closest(".ld-code").querySelector("code").textContent;
    try {
      await navigator.clipboard.writeText(text);
      put(button, "Copied");
    } catch {
      put(button, "Select and copy by hand");
    }
    setTimeout(() => put(button, "Copy"), 2000);
  });

  // Errors of a player do not bubble, so they are caught on the way down.
  document.addEventListener(
    "error",
    (event) => {
      const figure = event.target.closest && event.target.closest(".ld-clip");
      const clip = figure && clips.find((known) => known.video === figure.dataset.video);
      if (clip) stumbled(clip, event.target);
    },
    true,
  );

  document.addEventListener("visibilitychange", ask);
  setInterval(ask, 1000);
  // Attributes too: Gradio changes what is there into what it was sent, and keeps the elements where it can.
  new MutationObserver(changed).observe(document, {
    childList: true,
    subtree: true,
    characterData: true,
    attributes: true,
    attributeFilter: ["data-seen", "data-state", "data-preview", "aria-valuenow"],
  });
})();
