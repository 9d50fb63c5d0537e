// The form of a new batch: gathers files, tells which are none, sends them as one request.
import { dropped, eachOf, isZip, picked, unfit } from "./batch-files.js";
import { newKey, sendForm } from "./upload.js";

const form = document.getElementById("batch-form");
const byId = (id) => document.getElementById(id);
const [fileInput, folderInput, zipInput] = ["file", "folder", "archive"].map(byId);
const [chosenBox, chosenTitle, list, problem] = ["chosen", "chosen-title", "files", "form-problem"].map(byId);
const [unfitBox, unfitTitle, unfitList, overlay] = ["unfit", "unfit-title", "unfit-list", "drop-overlay"].map(byId);
const [upload, bar, uploadText, submit] = ["upload", "upload-bar", "upload-text", "submit"].map(byId);
const [nameField, stop, choosing] = ["batch-name", "stop", "choosing"].map(byId);
const { maxItems, maxBytes, maxFileBytes, listed } = Object.fromEntries(
  Object.entries(form.dataset).map(([name, value]) => [name, Number(value)]),
);

const pictures = new Map();
let refused = [];
let archive = null;
let looking = 0;
let key = null;
let sending = null;
let previews = [];

function sizeText(bytes) {
  return bytes < 2 ** 20 ? `${Math.ceil(bytes / 1024)} KB` : `${(bytes / 2 ** 20).toFixed(1)} MB`;
}

function plural(count, one) {
  return `${count} ${one}${count === 1 ? "" : "s"}`;
}

function totalBytes() {
  if (archive) return archive.size;
  return [...pictures.values()].reduce((sum, { file }) => sum + file.size, 0);
}

function tell(text) {
  problem.hidden = !text;
  problem.textContent = text;
}

/** What the batch is called if nobody says: its folder, or its zip. */
function ownName() {
  if (archive) return archive.name.replace(/\.zip$/i, "");
  const tops = new Set([...pictures.values()].map(({ path }) => path.split("/").slice(0, -1)[0] ?? ""));
  return tops.size === 1 ? [...tops][0] : "";
}

function make(tag, className, text = "") {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

function row(name, file, onRemove) {
  const item = make("li", "file");
  const preview = make(archive ? "span" : "img", "blank");
  if (!archive) {
    preview.alt = "";
    preview.decoding = "async";
    preview.src = URL.createObjectURL(file);
    previews.push(preview.src);
  }
  const text = make("div", "");
  text.append(make("div", "file-name", name), make("div", "small muted", sizeText(file.size)));
  const remove = make("button", "button button-small", "Remove");
  remove.type = "button";
  remove.setAttribute("aria-label", `Remove ${name}`);
  remove.addEventListener("click", () => {
    onRemove();
    show();
    (list.querySelector("button") ?? fileInput).focus();
  });
  item.append(preview, text, remove);
  return item;
}

function rows() {
  if (archive) return [row(archive.name, archive, () => { archive = null; })];
  const shown = [...pictures].slice(0, listed).map(([id, { file, path }]) => row(path, file, () => pictures.delete(id)));
  const more = pictures.size - shown.length;
  if (more > 0) shown.push(make("li", "muted more", `and ${more} more`));
  return shown;
}

function showUnfit() {
  unfitBox.hidden = !refused.length;
  unfitTitle.textContent = `${plural(refused.length, "file")} cannot be used and will not be sent`;
  const lines = refused.slice(0, listed).map(({ path, reason }) => make("li", "", `${path}: ${reason}`));
  if (refused.length > listed) lines.push(make("li", "", `and ${refused.length - listed} more`));
  unfitList.replaceChildren(...lines);
}

function limitProblem() {
  if (pictures.size > maxItems) return `A batch takes at most ${maxItems} pictures. Remove ${pictures.size - maxItems}, or send them as several batches.`;
  if (totalBytes() > maxBytes) return `Together they have ${sizeText(totalBytes())}; at most ${sizeText(maxBytes)} can be sent at once. Send them as several batches.`;
  return "";
}

/** Draw everything that follows from what is chosen; whatever was sent before is another batch. */
function show() {
  key = null;
  previews.forEach((address) => URL.revokeObjectURL(address));
  previews = [];
  const title = archive ? "One zip" : plural(pictures.size, "picture");
  chosenTitle.textContent = looking ? `Looking at ${plural(looking, "file")}…` : `${title}, ${sizeText(totalBytes())}`;
  chosenBox.hidden = !pictures.size && !archive && !looking;
  list.replaceChildren(...rows());
  nameField.placeholder = ownName() || "the number of pictures";
  showUnfit();
  tell(limitProblem());
}

function addZip(zips, others) {
  if (zips.length > 1 || others || pictures.size || archive) {
    return "A zip is sent on its own: not with pictures, and one at a time. Remove the rest first.";
  }
  archive = zips[0].file;
  return "";
}

async function add(found) {
  const zips = found.filter(({ file }) => isZip(file));
  const others = found.filter(({ file }) => !isZip(file));
  const known = ({ path, file }) => `${path}:${file.size}:${file.lastModified}`;
  const fresh = others.filter((one) => !pictures.has(known(one)));
  let complaint = zips.length ? addZip(zips, others.length) : "";
  if (archive && fresh.length) complaint = "A zip is sent on its own. Remove it to send pictures.";
  if (!complaint && fresh.length) {
    looking += fresh.length;
    show();
    const reasons = new Map();
    await eachOf(fresh, async (one) => reasons.set(one, await unfit(one.file, maxFileBytes)));
    looking -= fresh.length;
    for (const one of fresh) {
      const reason = reasons.get(one);
      if (reason) refused.push({ ...one, reason });
      else pictures.set(known(one), one);
    }
  }
  show();
  if (complaint) tell(complaint);
}

for (const input of [fileInput, folderInput, zipInput]) {
  input.addEventListener("change", () => {
    const found = picked(input);
    input.value = ""; // the list below is what counts, and the same choice may come again
    add(found);
  });
}

byId("clear").addEventListener("click", () => {
  pictures.clear();
  archive = null;
  refused = [];
  show();
  fileInput.focus();
});

function hasFiles(event) {
  return [...(event.dataTransfer?.types ?? [])].includes("Files");
}

addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  overlay.hidden = false;
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) overlay.hidden = true;
});
addEventListener("drop", async (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  overlay.hidden = true;
  if (!sending) await add(await dropped(event.dataTransfer));
});

function body() {
  const data = new FormData(form);
  for (const name of ["file", "archive", "csrf_token"]) data.delete(name);
  if (!data.get("name")) data.set("name", ownName());
  if (archive) data.append("archive", archive);
  else for (const { file, path } of pictures.values()) data.append("file", file, path);
  return data;
}

function explain(error) {
  const said = error.problem;
  if (error.message === "aborted") return "Stopped. Nothing was made; send it again when you like.";
  if (!said) return "The server does not answer. Your choice is kept: try again.";
  const details = (said.errors ?? []).slice(0, listed).map(({ detail }) => detail);
  return [`${said.title}. ${said.detail ?? ""}`, ...details, said.advice ?? ""].filter(Boolean).join("\n");
}

function onProgress(started, loaded, total) {
  bar.value = loaded / total;
  stop.hidden = loaded >= total; // from then on the server makes the batch, whoever listens
  if (stop.hidden) {
    uploadText.textContent = "All is sent. The server looks at the pictures…";
    return;
  }
  const rate = loaded / Math.max(0.001, (performance.now() - started) / 1000);
  const left = Math.ceil((total - loaded) / rate);
  uploadText.textContent = `${sizeText(loaded)} of ${sizeText(total)}, ${Math.round((100 * loaded) / total)} %, ${sizeText(rate)} per second, ${left} s left`;
}

async function send() {
  key ??= newKey();
  const started = performance.now();
  bar.value = 0;
  uploadText.textContent = "Sending…";
  return sendForm("/api/v1/batches", body(), key, {
    signal: sending.signal,
    onProgress: (loaded, total) => onProgress(started, loaded, total),
    onWait: (pause) => {
      stop.hidden = false;
      uploadText.textContent = `The server is busy or away; trying again in ${pause / 1000} s`;
    },
  });
}

function setBusy(busy) {
  submit.disabled = busy;
  choosing.inert = busy;
  upload.hidden = !busy;
  stop.hidden = false;
}

form.addEventListener("input", () => { key = null; });
stop.addEventListener("click", () => sending?.abort());
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (sending) return;
  const wrong = looking ? "The files are still being looked at." : limitProblem();
  if (wrong || (!pictures.size && !archive)) {
    tell(wrong || "Choose pictures, a folder or a zip first.");
    return;
  }
  tell("");
  setBusy(true);
  sending = new AbortController();
  try {
    const made = await send();
    const notes = new URLSearchParams(made.warnings.map((code) => ["note", code]));
    location.assign(made.warnings.length ? `${made.links.page}?${notes}` : made.links.page);
  } catch (error) {
    sending = null;
    setBusy(false);
    tell(explain(error));
  }
});

// A browser may bring the page back as it was left: sending.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  sending = null;
  setBusy(false);
});
