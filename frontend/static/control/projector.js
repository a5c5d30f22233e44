import { watch } from "/control-static/live.js";

watch("/control/projector/state");
