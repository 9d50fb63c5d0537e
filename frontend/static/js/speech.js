// The page of speech: shows what the task takes, plays the chosen recording, sends it with progress.
import { takeDroppedFiles } from "./dropped-files.js";
import { sendJob } from "./upload.js";

const MB = 2 ** 20;
const piece = (name) => document.getElementById(`speech-${name}`);
const form = piece("form");
const input = piece("file");
const task = piece("task");
const style = piece("style");
const source = form.elements.source_job;
const [maxMb, maxS] = piece("file-help").textContent.match(/(\d+) MB and ([\d.]+) seconds/).slice(1).map(Number);
const groups = [...style.querySelectorAll("optgroup")];
let address = null;

/** Show the fields that the task takes, and send no others. */
function showWhatMatters() {
  const chosen = task.selectedOptions[0].dataset;
  const taken = chosen.fields.split(" ");
  for (const field of form.querySelectorAll("[data-for]")) {
    const shown = taken.includes(field.dataset.for);
    field.hidden = !shown;
    field.querySelector("input, select, textarea").disabled = !shown;
  }
  piece("task-help").textContent = chosen.help;
  piece("style-label").textContent = chosen.styleLabel;
  piece("tags").hidden = task.value !== "paralinguistic";
  showStyles();
}

/** Only the styles of the task can be chosen; the first one is, where none of them was. */
function showStyles() {
  const before = style.selectedOptions[0];
  const own = groups.find((group) => group.dataset.task === task.value);
  const isOwn = own?.contains(before);
  for (const group of groups) group.remove();
  style.querySelector("option[value='']")?.remove();
  if (!own) return;
  style.append(own);
  if (!isOwn) style.selectedIndex = 0;
}

function complain(text) {
  piece("file-problem").hidden = !text;
  piece("file-problem").textContent = text;
  input.setCustomValidity(text);
}

/** Play what was chosen, and refuse what the server would. */
function look() {
  const file = input.files[0];
  if (address) URL.revokeObjectURL(address);
  address = null;
  piece("preview").hidden = !file;
  document.getElementById("from-job")?.toggleAttribute("hidden", Boolean(file));
  complain("");
  if (!file) return;
  if (file.size > maxMb * MB) {
    complain(`${file.name} has ${(file.size / MB).toFixed(0)} MB; at most ${maxMb} are taken.`);
    piece("preview").hidden = true;
    return;
  }
  address = URL.createObjectURL(file);
  piece("audio").src = address;
}

piece("audio").addEventListener("loadedmetadata", ({ target }) => {
  // a browser rounds: the server has the last word on a recording of just that length
  if (Number.isFinite(target.duration) && target.duration > maxS + 0.5) {
    complain(`It lasts ${target.duration.toFixed(1)} s; at most ${maxS} are taken.`);
  }
});

takeDroppedFiles(([file]) => {
  const transfer = new DataTransfer();
  transfer.items.add(file);
  input.files = transfer.files;
  look();
});

piece("tags").addEventListener("click", ({ target }) => {
  const { tag } = target.closest("[data-tag]")?.dataset ?? {};
  if (!tag) return;
  const text = piece("text");
  text.setRangeText(tag, text.selectionStart, text.selectionEnd, "end");
  text.focus();
});

function explain(error) {
  const said = error.problem;
  const box = piece("problem");
  const title = document.createElement("strong");
  const words = document.createElement("span");
  title.textContent = said ? said.title : "The server does not answer";
  words.textContent = said ? `${said.detail} ${said.advice ?? ""}` : "Is it running?";
  box.replaceChildren(title, words);
  box.hidden = false;
  const field = said?.errors?.[0]?.pointer?.replace(/^\/(params\/)?/, "");
  (field && form.elements[field] && !form.elements[field].disabled ? form.elements[field] : piece("submit")).focus();
}

async function send() {
  const button = piece("submit");
  const status = piece("status");
  const bar = piece("progress");
  const body = new FormData(form);
  for (const name of ["csrf_token", "source_job", "use"]) body.delete(name);
  button.disabled = true;
  bar.hidden = false;
  piece("problem").hidden = true;
  status.textContent = "Sending…";
  try {
    const job = await sendJob(body, bar, status, "recording");
    location.assign(job.links.page);
  } catch (error) {
    status.textContent = "";
    bar.hidden = true;
    button.disabled = false;
    explain(error);
  }
}

form.addEventListener("submit", (event) => {
  if (source && !input.files.length) return; // the sound of a job needs no upload
  event.preventDefault();
  send();
});
task.addEventListener("change", showWhatMatters);
input.addEventListener("change", look);
form.addEventListener("change", () => { piece("problem").hidden = true; });
showWhatMatters();
look();
