// The job page: follows the live part, feeds the viewer, survives a lost connection.
import { showPaintFields } from "./paint-fields.js";
import { Viewer } from "./viewer.js";

const POLL_MS = 3000;
const FAILURES_BEFORE_POLLING = 2;
const WATCH_MS = 1000;
const SILENCE_MS = 5000;
const ENDED = new Set(["succeeded", "failed", "canceled", "expired"]);

let viewer = document.getElementById("viewer") && new Viewer(document.getElementById("viewer"));
const socket = document.getElementById("job-socket");
const banner = document.getElementById("connection");
const announcer = document.getElementById("announcer");
const title = document.title;
let failures = 0;
let connected = false;
let heardAt = performance.now();
let polling = null;
let announced = "";

function live() {
  return document.getElementById("job-live");
}

function announce({ status, stage, progress }) {
  const quarter = Math.floor(progress / 25) * 25;
  const text = status === "running" ? `${stage}, ${quarter} percent` : status;
  if (text === announced) return;
  announced = text;
  announcer.textContent = text;
}

function update() {
  const state = live().dataset;
  if (state.made) showMade(state);
  else if (!state.parts) viewer?.show(state.model || state.preview, state.poster);
  loadParts(state.parts);
  announce({ status: state.status, stage: state.stage, progress: Number(state.progress) });
  if (state.status === "running") document.title = `${Math.round(state.progress)} % · ${title}`;
  else if (state.status === "succeeded") document.title = `✓ ${title}`;
  else if (state.status === "failed") document.title = `✗ ${title}`;
  else document.title = title;
  if (ENDED.has(state.status)) {
    stopPolling();
    const text = document.getElementById("viewer-text"); // gone where parts have taken its place
    if (text && !state.model && !viewer?.source) {
      text.textContent = text.dataset.failed;
      viewer?.showNothing();
    }
  }
}

// Parts that a network made anew are no pieces of the surface that the explorer divides.
function showMade({ made, apart, poster }) {
  const button = document.getElementById("apart");
  button.hidden = false;
  viewer?.show(button.getAttribute("aria-pressed") === "true" ? apart : made, poster);
}

// The parts were made while the page was open: their explorer takes the place of the empty view.
async function loadParts(address) {
  if (!address || document.getElementById("parts") || loadParts.isAsking) return;
  loadParts.isAsking = true;
  const answer = await fetch(address).catch(() => null);
  const text = answer?.ok ? await answer.text() : "";
  loadParts.isAsking = false;
  if (!text) return;
  const columns = document.getElementById("columns");
  columns.insertAdjacentHTML("beforebegin", text);
  if (live().dataset.made) {
    const title = document.getElementById("viewer-title");
    title.textContent = "Parts as the network made them";
    title.classList.remove("visually-hidden");
    return;
  }
  columns.classList.replace("columns-job", "columns-parts");
  columns.querySelector("section[aria-labelledby=viewer-title]")?.remove();
  viewer = null;
}

async function poll() {
  heardAt = performance.now();
  let answer;
  try {
    answer = await fetch(socket.dataset.poll, { headers: { "HX-Request": "true" } });
  } catch {
    return; // the server is away; the next round asks again
  }
  if (answer.ok) {
    await htmx.swap({ target: "#job-live", swap: "outerMorph", text: await answer.text(), sourceElement: socket });
    update();
  }
}

function startPolling() {
  if (polling) return;
  banner.hidden = false;
  polling = setInterval(poll, POLL_MS);
}

// A socket may hang without ever opening or closing: what counts is whether anything arrives.
function watch() {
  if (polling || document.hidden || ENDED.has(live().dataset.status)) return;
  if (performance.now() - heardAt < SILENCE_MS) return;
  poll();
  if (!connected) startPolling();
}

function stopPolling() {
  clearInterval(polling);
  polling = null;
  banner.hidden = true;
}

socket.addEventListener("htmx:ws:after:connection", () => {
  failures = 0;
  connected = true;
  stopPolling();
});
socket.addEventListener("htmx:ws:close", (event) => {
  connected = false;
  if (ENDED.has(live().dataset.status) || event.detail.reason === "removed") return;
  failures += 1;
  if (failures >= FAILURES_BEFORE_POLLING) startPolling();
});
socket.addEventListener("htmx:ws:after:message:incoming", () => {
  heardAt = performance.now();
  update();
});
document.addEventListener("htmx:after:swap", update);
document.getElementById("show-appearance")?.addEventListener("click", () => viewer?.showGeometry(false));
document.getElementById("show-geometry")?.addEventListener("click", () => viewer?.showGeometry(!viewer.geometry));
document.getElementById("apart")?.addEventListener("click", ({ target }) => {
  target.setAttribute("aria-pressed", String(target.getAttribute("aria-pressed") !== "true"));
  showMade(live().dataset);
});
document.getElementById("frame")?.addEventListener("click", () => viewer?.frame());

setInterval(watch, WATCH_MS);
update();

// The form that colours anew comes with the live part, once there is a model.
for (const kind of ["toggle", "change"]) {
  document.addEventListener(kind, ({ target }) => {
    if (target.closest("#texture-again")) showPaintFields("again");
  }, { capture: true });
}
