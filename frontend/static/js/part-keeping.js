// Keeping what the part explorer made: versions on the server, files on this machine.
import { partsToGlb, partsToStl, save } from "./part-files.js";
import { several } from "./part-words.js";

export class PartKeeping {
  constructor(explorer) {
    this.explorer = explorer;
    window.addEventListener("beforeunload", (event) => {
      if (explorer.isConnected && explorer.editing?.unsaved.length) event.preventDefault();
    });
  }

  async save() {
    const { explorer } = this;
    this.isSaving = true;
    explorer.showControls();
    let answer = null;
    try {
      answer = await fetch(explorer.getAttribute("parts-url"), {
        method: "PATCH",
        headers: { "Content-Type": "application/json", "If-Match": `"${explorer.kept.version}"`, "X-CSRF-Token": document.body.dataset.csrf },
        body: JSON.stringify({ edits: explorer.editing.unsaved }),
      });
    } catch {
      this.trouble("The server does not answer. Nothing is lost here; try again.", false);
    }
    this.isSaving = false;
    if (answer) await this.take(answer);
    else explorer.showControls();
  }

  async take(answer) {
    const { explorer } = this;
    const said = await answer.json();
    if (!answer.ok) {
      explorer.showControls();
      this.trouble(`${said.title}. ${said.detail}`, answer.status === 412);
      return;
    }
    explorer.kept = said;
    explorer.editing.restart(said.edits, said.done);
    explorer.the.trouble.hidden = true;
    explorer.showParts();
    explorer.tell(`saved as version ${said.version}`);
    explorer.the.version.textContent = `Saved as version ${said.version}`;
  }

  trouble(text, canReload) {
    const { the, buttons } = this.explorer;
    the.troubleText.textContent = text;
    the.trouble.hidden = false;
    buttons.reload.hidden = !canReload;
    this.explorer.tell(text);
  }

  async reload() {
    const { explorer } = this;
    await explorer.loadVersion();
    explorer.the.trouble.hidden = true;
    explorer.start(explorer.editing.start);
    explorer.tell(`version ${explorer.kept.version} loaded`);
  }

  /** Start a job that closes the parts of the saved version: the same mesh, with these parts. */
  async close() {
    const { explorer } = this;
    this.isClosing = true;
    explorer.showControls();
    try {
      const address = explorer.getAttribute("parts-url");
      const [mesh, faceIds] = await Promise.all([
        explorer.fetched(explorer.getAttribute("mesh")),
        explorer.fetched(`${address}/${explorer.kept.version}/face_ids.npy`),
      ]);
      const form = new FormData();
      form.set("pipeline", "complete_parts");
      form.set("name", explorer.getAttribute("name"));
      form.set("file", await mesh.blob(), "mesh.glb");
      form.set("face_ids", await faceIds.blob(), "face_ids.npy");
      const answer = await fetch("/api/v1/jobs", { method: "POST", body: form, headers: { "X-CSRF-Token": document.body.dataset.csrf } });
      const said = await answer.json();
      if (!answer.ok) throw new Error(`${said.title}. ${said.detail}`);
      location.assign(said.links.page);
    } catch (error) {
      this.trouble(error.message, false);
    }
    this.isClosing = false;
    explorer.showControls();
  }

  download(write, ending) {
    const { list, parts } = this.explorer;
    const chosen = list.chosen;
    const wanted = chosen.length ? chosen.map((index) => parts[index]) : parts.filter(({ isHidden }) => !isHidden);
    const stem = this.explorer.getAttribute("name").replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N} ._-]/gu, "_");
    save(write(this.explorer.primitives, wanted), `${stem}-${wanted.length === 1 ? wanted[0].name : "parts"}.${ending}`);
    this.explorer.tell(`${several(wanted.length)} written as ${ending.toUpperCase()}`);
  }

  saveGlb() {
    this.download(partsToGlb, "glb");
  }

  saveStl() {
    this.download(partsToStl, "stl");
  }
}
