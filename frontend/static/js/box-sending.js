// Keeps drawn boxes over a reload of the page, and sends them with the mesh as a new job.
import { inWords } from "./part-keeping.js";
import { newKey, sendForm } from "./upload.js";

const SILENT = "The server does not answer. The boxes are kept on this page; try again.";

function place() {
  return `boxes of ${location.pathname}`;
}

export function remember(state) {
  try {
    sessionStorage.setItem(place(), JSON.stringify(state));
  } catch {
    // they last until the page is left
  }
}

/** What was remembered, or null. */
export function remembered() {
  try {
    const state = JSON.parse(sessionStorage.getItem(place()));
    return state?.boxes?.every(({ box, name, color }) => box.length === 6 && name && color) ? state : null;
  } catch {
    return null;
  }
}

/**
 * Start a job on a mesh with boxes; leads to its page, or throws an Error with words for a person
 * and the number of the box that was refused, if it was one.
 */
export async function completeBoxes({ mesh, name, boxes, settings, tell }) {
  const form = new FormData();
  form.set("pipeline", "complete_parts");
  form.set("name", name);
  form.set("completion", "xpart");
  for (const [key, value] of Object.entries(settings)) form.set(key, String(value));
  tell("Taking the mesh…");
  form.set("file", await mesh(), "mesh.glb");
  form.set("boxes", new Blob([JSON.stringify(boxes)], { type: "application/json" }), "boxes.json");
  try {
    const job = await sendForm("/api/v1/jobs", form, newKey(), {
      signal: new AbortController().signal,
      onProgress: (loaded, total) => tell(loaded < total ? `${Math.round((100 * loaded) / total)} % sent` : "The server reads the mesh…", loaded / total),
      onWait: (pause) => tell(`The server is busy; trying again in ${pause / 1000} s`),
    });
    location.assign(job.links.page);
  } catch (error) {
    const said = error.problem;
    const box = /^\/boxes\/(\d+)$/.exec(said?.errors?.[0]?.pointer ?? "");
    throw Object.assign(new Error(said?.title ? inWords(said) : SILENT), { box: box && Number(box[1]) });
  }
}
