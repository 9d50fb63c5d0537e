// The forms that take a mesh: send it with progress, and take what is dropped on the page.
import { showPaintFields } from "./paint-fields.js";
import { sendJob } from "./upload.js";

const ENDING = /\.(glb|gltf|obj|ply|stl)$/i;
const FORMS = ["mesh", "texture", "tool"];

function piece(form, name) {
  return document.getElementById(`${form}-${name}`);
}

export function isMesh(file) {
  return ENDING.test(file.name);
}

/** Put a dropped mesh into all forms: which of them is sent is the user's choice. */
export function takeMesh(file) {
  for (const form of FORMS) {
    const transfer = new DataTransfer();
    transfer.items.add(file);
    piece(form, "file").files = transfer.files;
    piece(form, "status").textContent = `${file.name} is ready.`;
  }
  piece("mesh", "form").scrollIntoView({ block: "start" });
  piece("mesh", "submit").focus({ preventScroll: true });
}

/** Show what the choices made so far heed, and send nothing else. */
function showWhatMatters() {
  const chosen = (name) => document.getElementById(`mesh-p-${name}`).value;
  const available = (group) => piece("mesh", group).dataset.available === "true";
  const closes = piece("mesh", "pipeline").value === "complete_parts";
  const matters = {
    network: available("network") && chosen("engine") !== "line_of_sight_parts",
    closing: closes,
    completion: closes && available("completion") && chosen("completion") !== "cap_parts",
  };
  for (const [group, shown] of Object.entries(matters)) {
    piece("mesh", group).hidden = !shown;
    piece("mesh", group).disabled = !shown;
  }
}

piece("mesh", "form").addEventListener("change", showWhatMatters);
piece("texture", "form").addEventListener("change", () => showPaintFields("texture"));
showWhatMatters();
showPaintFields("texture");

async function send(name) {
  const button = piece(name, "submit");
  const status = piece(name, "status");
  const bar = piece(name, "progress");
  const body = new FormData(piece(name, "form"));
  body.delete("csrf_token");
  button.disabled = true;
  bar.hidden = false;
  status.textContent = "Sending…";
  try {
    const job = await sendJob(body, bar, status, "mesh");
    location.assign(job.links.page);
  } catch (error) {
    const said = error.problem;
    status.textContent = said ? `${said.title}: ${said.detail} ${said.advice ?? ""}` : "The server does not answer. Is it running?";
    bar.hidden = true;
    button.disabled = false;
  }
}

for (const name of FORMS) {
  piece(name, "form").addEventListener("submit", (event) => {
    event.preventDefault();
    send(name);
  });
}
