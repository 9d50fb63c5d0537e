// The form that takes a mesh: sends it with progress, and takes what is dropped on the page.
import { newKey, sendForm } from "./upload.js";

const ENDING = /\.(glb|gltf|obj|ply|stl)$/i;
const form = document.getElementById("mesh-form");
const input = document.getElementById("mesh-file");
const status = document.getElementById("mesh-status");
const bar = document.getElementById("mesh-progress");

export function isMesh(file) {
  return ENDING.test(file.name);
}

/** Put a dropped mesh into the form. */
export function takeMesh(file) {
  const transfer = new DataTransfer();
  transfer.items.add(file);
  input.files = transfer.files;
  status.textContent = `${file.name} is ready to be split.`;
  form.scrollIntoView({ block: "center" });
  document.getElementById("mesh-submit").focus();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = document.getElementById("mesh-submit");
  const body = new FormData(form);
  body.delete("csrf_token");
  if (!body.get("part_count")) body.delete("part_count");
  button.disabled = true;
  bar.hidden = false;
  status.textContent = "Sending…";
  try {
    const job = await sendForm("/api/v1/jobs", body, newKey(), {
      signal: new AbortController().signal,
      onProgress: (loaded, total) => {
        bar.value = loaded / total;
        status.textContent = loaded < total ? `${Math.round((100 * loaded) / total)} % sent` : "The server reads the mesh…";
      },
      onWait: (pause) => { status.textContent = `The server is busy; trying again in ${pause / 1000} s`; },
    });
    location.assign(job.links.page);
  } catch (error) {
    const said = error.problem;
    status.textContent = said ? `${said.title}: ${said.detail} ${said.advice ?? ""}` : "The server does not answer. Is it running?";
    bar.hidden = true;
    button.disabled = false;
  }
});
