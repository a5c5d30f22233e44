import { part, put, watch } from "/control-static/live.js";

watch("/control/projector/state", (state) => {
  const found = state.class;
  part("join").hidden = found === null;
  // The checklist needs the room; who joins late comes closer.
  part("join").dataset.small = String(state.checklist.length > 0);
  // Before the first order there is nothing else to look at.
  part("join").dataset.large = String(state.counts.accepted === 0);
  put(part("join-at"), state.join_at);
  put(part("code"), found ? found.code : "");
  put(part("joined"), found ? found.words : "");
});
