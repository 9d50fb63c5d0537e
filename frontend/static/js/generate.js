// The first page: choose, drop or paste pictures, check them, send them two at a time.
import { takeDroppedFiles } from "./dropped-files.js";
import { attachMask, startEditor } from "./mask-editor.js";
import { isMesh, takeMesh } from "./mesh-form.js";
import { allowPaintFields } from "./paint-fields.js";
import { fingerprint, refusal } from "./picture-check.js";
import { newKey, sendForm } from "./upload.js";

const PARALLEL = 2;
const form = document.getElementById("generate");
const input = document.getElementById("file");
const list = document.getElementById("files");
const status = document.getElementById("submit-status");
const problem = document.getElementById("form-problem");
const panel = document.getElementById("cutout-panel");
const maxBytes = parseInt(document.getElementById("file-help").textContent.match(/(\d+) MB/)[1], 10) * 2 ** 20;
const SIDES = ["left", "back", "right"];
const chosen = new Map();
let editor = null;
let checkedKey = null;

function row(file) {
  const item = document.createElement("li");
  item.className = "file";
  const preview = document.createElement("img");
  preview.alt = "";
  const text = document.createElement("div");
  const name = document.createElement("div");
  name.className = "file-name";
  name.textContent = file.name;
  const note = document.createElement("div");
  note.className = "small muted note";
  note.textContent = file.size < 2 ** 20 ? `${Math.ceil(file.size / 1024)} KB` : `${(file.size / 2 ** 20).toFixed(1)} MB`;
  text.append(name, note);
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "button button-small";
  remove.textContent = "Remove";
  remove.setAttribute("aria-label", `Remove ${file.name}`);
  item.append(preview, text, remove);
  return { item, preview, note, remove };
}

// Looking at pictures takes a moment: whoever sends meanwhile waits for it.
let looking = null;

function add(files) {
  const mine = Promise.resolve(looking).then(() => look(files)).finally(() => {
    if (looking === mine) looking = null;
  });
  looking = mine;
}

async function look(files) {
  problem.hidden = true;
  for (const file of files) {
    const shown = row(file);
    list.append(shown.item);
    const reason = await refusal(file, maxBytes);
    if (reason) {
      shown.item.classList.add("file-refused");
      shown.note.textContent = reason;
      shown.remove.addEventListener("click", () => shown.item.remove());
      continue;
    }
    const key = await fingerprint(file);
    if (chosen.has(key)) {
      shown.item.remove();
      status.textContent = `${file.name} is already in the list.`;
      continue;
    }
    shown.preview.src = URL.createObjectURL(file);
    chosen.set(key, { key, file, ...shown });
    shown.remove.addEventListener("click", () => {
      chosen.get(key)?.sending?.abort();
      chosen.delete(key);
      shown.item.remove();
      sync();
    });
  }
  sync();
}

function sync() {
  const transfer = new DataTransfer();
  for (const entry of chosen.values()) if (!entry.done) transfer.items.add(entry.file);
  input.files = transfer.files;
}

input.required = false; // dropped and pasted pictures count as well
input.addEventListener("change", () => {
  const known = new Set([...chosen.values()].map((entry) => entry.file));
  add([...input.files].filter((file) => !known.has(file)));
});

takeDroppedFiles((files) => {
  files.filter(isMesh).slice(0, 1).forEach(takeMesh);
  add(files.filter((file) => !isMesh(file)));
});
addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) add([...event.clipboardData.files]);
});

document.getElementById("dice").addEventListener("click", () => {
  document.getElementById("p-seed").value = Math.floor(Math.random() * Number.MAX_SAFE_INTEGER);
});

function explain(error) {
  const said = error.problem;
  if (said) return `${said.title}: ${said.detail} ${said.advice ?? ""}`;
  return error.message === "aborted" ? "Removed." : "The server does not answer. Is it running?";
}

async function send(entry) {
  const bar = document.createElement("progress");
  bar.max = 1;
  bar.value = 0;
  bar.setAttribute("aria-label", `Upload of ${entry.file.name}`);
  entry.item.append(bar);
  const body = new FormData(form);
  body.delete("file");
  body.delete("source_job");
  body.delete("csrf_token");
  body.delete("leave_out_view");
  for (const side of SIDES) if (!body.get(side)?.size) body.delete(side);
  const painted = editor?.changed && editor.key === entry.key;
  if (painted) body.set("mask", await editor.file());
  else if (chosen.size > 1 || !body.get("mask")?.size) body.delete("mask");
  body.set("file", entry.file);
  const started = performance.now();
  try {
    entry.sending = new AbortController();
    const job = await sendForm("/api/v1/jobs", body, newKey(), {
      signal: entry.sending.signal,
      onProgress: (loaded, total) => {
        bar.value = loaded / total;
        const rate = loaded / 2 ** 20 / Math.max(0.001, (performance.now() - started) / 1000);
        entry.note.textContent = `${Math.round((100 * loaded) / total)} % at ${rate.toFixed(1)} MB/s`;
      },
      onWait: (pause) => { entry.note.textContent = `The server is busy; trying again in ${pause / 1000} s`; },
    });
    entry.done = true;
    bar.remove();
    entry.note.replaceChildren(Object.assign(document.createElement("a"), { href: job.links.page, textContent: "Open the job" }));
    return job;
  } catch (error) {
    bar.remove();
    entry.item.classList.add("file-refused");
    entry.note.textContent = explain(error);
    return null;
  }
}

async function sendAll() {
  const waiting = [...chosen.values()].filter((entry) => !entry.done);
  const jobs = [];
  const work = async () => {
    for (let entry = waiting.shift(); entry; entry = waiting.shift()) {
      entry.item.classList.remove("file-refused");
      jobs.push(await send(entry));
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  return jobs;
}

form.addEventListener("submit", async (event) => {
  if (looking) {
    event.preventDefault();
    const { submitter } = event;
    await looking;
    form.requestSubmit(submitter);
    return undefined;
  }
  if (event.submitter?.id === "check-cutout") {
    event.preventDefault();
    return checkCutout();
  }
  if (!chosen.size && form.elements.source_job) {
    if (!editor?.changed || form.elements.mask.files.length) return undefined;
    event.preventDefault();
    await attachMask(editor, form.elements.mask);
    form.submit();
    return undefined;
  }
  event.preventDefault();
  if (!chosen.size) {
    problem.hidden = false;
    problem.textContent = "Choose a picture first.";
    input.focus();
    return undefined;
  }
  if (chosen.size > 1 && SIDES.some((side) => form.elements[side].files.length)) {
    problem.hidden = false;
    problem.textContent = "More views belong to one picture. Send the pictures one by one, or remove the views.";
    problem.scrollIntoView({ block: "center" });
    return undefined;
  }
  const button = document.getElementById("submit");
  button.disabled = true;
  status.textContent = "Sending…";
  const jobs = await sendAll();
  button.disabled = false;
  const good = jobs.filter(Boolean);
  const refused = [...chosen.values()].filter((entry) => entry.item.matches(".file-refused"));
  status.textContent = `${good.length} of ${jobs.length} sent. ${refused.length === 1 ? refused[0].note.textContent : ""}`.trim();
  if (refused.length > 1) refused[0].item.scrollIntoView({ block: "center" });
  if (jobs.length === 1 && good.length === 1) location.assign(good[0].links.page);
  return undefined;
});

async function checkCutout() {
  const entry = [...chosen.values()].find((candidate) => !candidate.done);
  const body = new FormData();
  if (entry) body.set("file", entry.file);
  else if (form.elements.source_job) body.set("source_job", form.elements.source_job.value);
  else {
    problem.hidden = false;
    problem.textContent = "Choose a picture first.";
    return;
  }
  body.set("background", form.elements.background.value);
  for (const [name, value] of new FormData(form)) {
    if (!["file", "mask", "csrf_token", "source_job", "background", "pipeline", ...SIDES].includes(name)) body.append(name, value);
  }
  panel.textContent = "Sending the picture…";
  const answer = await fetch("/cutouts", {
    method: "POST",
    body,
    headers: { "X-CSRF-Token": document.body.dataset.csrf, "HX-Request": "true" },
  });
  editor = null;
  checkedKey = entry?.key ?? null;
  panel.innerHTML = await answer.text();
  htmx.process(panel);
}

document.addEventListener("htmx:after:swap", async () => {
  const started = await startEditor(document.querySelector("#cutout-panel #cutout"));
  if (started) editor = Object.assign(started, { key: checkedKey });
});

/** What is about parts is shown, and sent, only where parts are made. */
function showPartFields() {
  const group = document.getElementById("picture-parts");
  if (!group) return;
  const shown = new FormData(form).get("pipeline") === "image_to_parts";
  group.hidden = !shown;
  group.disabled = !shown;
}

function showWhatMatters() {
  showPartFields();
  allowPaintFields(form);
}

form.addEventListener("change", showWhatMatters);
showWhatMatters();
