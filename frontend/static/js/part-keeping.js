// Keeping what the part explorer made: versions on the server, files on this machine.
import { partsToGlb, partsToStl, save } from "./part-files.js";
import { several } from "./part-words.js";

const SILENT = "The server does not answer.";
const KEPT = "Nothing is lost here; try again.";
const GONE = "The job or its files were deleted, so your changes cannot be saved. Download GLB and STL still work until this page is closed.";
const HINTS = {
  404: GONE,
  410: GONE,
  412: "Your changes are still on this page: save them as the next version, or leave them and load the newest.",
};

const BY_ANOTHER = ["keepMine", "reload"];
export const LEAVING = ["openAnyway", "stay"];

/** A problem of the server, and what to do about it here. */
export function inWords({ title, detail, advice, status }) {
  const told = detail && detail !== title ? [`${title}.`, detail] : [`${title}.`];
  return [...told, HINTS[status] ?? advice].filter(Boolean).join(" ");
}

function unreadable(answer) {
  return `The server answered ${answer.status}, with nothing that can be read here.`;
}

export class PartKeeping {
  constructor(explorer) {
    this.explorer = explorer;
    window.addEventListener("beforeunload", (event) => {
      if (explorer.isConnected && explorer.editing?.changes.length) event.preventDefault();
    });
  }

  async save() {
    const { explorer } = this;
    const sent = explorer.editing.division;
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
      this.trouble(`${SILENT} ${KEPT}`);
    }
    this.isSaving = false;
    if (answer) await this.take(answer, sent);
    else explorer.showControls();
  }

  async take(answer, sent) {
    const { explorer } = this;
    const said = await answer.json().catch(() => null); // a proxy may answer in its own words
    if (!answer.ok || !said) {
      explorer.showControls();
      this.trouble(said ? inWords(said) : `${unreadable(answer)} ${KEPT}`, answer.status === 412 ? BY_ANOTHER : []);
      return;
    }
    explorer.kept = explorer.opened = said;
    const { editing } = explorer;
    const isAsSent = editing.division === sent; // else somebody went on editing while it was saved
    editing[isAsSent ? "restart" : "follow"](said.edits, said.done);
    explorer.the.trouble.hidden = true;
    explorer.showParts();
    explorer.tell(`saved as version ${said.version}`);
    if (isAsSent) explorer.the.version.textContent = `Saved as version ${said.version}`;
    await explorer.versions.refresh();
  }

  /** Tell what is wrong; `offered` are the buttons that lead out of it. */
  trouble(text, offered = []) {
    const { the, buttons } = this.explorer;
    the.troubleText.textContent = text;
    the.trouble.hidden = false;
    for (const name of [...BY_ANOTHER, ...LEAVING]) buttons[name].hidden = !offered.includes(name);
    this.explorer.tell(text);
  }

  /** Take the notice away; whoever was in it goes back to the list. */
  calm() {
    const { the, list } = this.explorer;
    if (the.trouble.contains(document.activeElement)) list.activate(list.active);
    the.trouble.hidden = true;
  }

  /** Ask for the newest version; false, and told why, if it does not come. */
  async ask() {
    try {
      await this.explorer.loadVersion();
    } catch (error) {
      this.trouble(`${error instanceof TypeError ? SILENT : error.message} ${KEPT}`, BY_ANOTHER);
      return false;
    }
    this.calm();
    await this.explorer.versions.refresh();
    return true;
  }

  /** Save what is shown here after somebody else's version, which is kept as a version too. */
  async keepMine() {
    const { explorer } = this;
    if (!(await this.ask())) return;
    explorer.opened = explorer.kept;
    explorer.editing.follow(explorer.kept.edits, explorer.kept.done);
    explorer.showParts();
    if (explorer.editing.unsaved.length) await this.save();
    else explorer.tell(`version ${explorer.kept.version} has the same edits`);
  }

  async reload() {
    const { explorer } = this;
    if (!(await this.ask())) return;
    explorer.opened = explorer.kept;
    explorer.start(explorer.editing.start);
    explorer.tell(`version ${explorer.kept.version} loaded`);
  }

  /** Start a job that closes the parts of the version that is shown: the same mesh, with these parts. */
  async close() {
    const { explorer } = this;
    this.isClosing = true;
    explorer.showControls();
    try {
      const address = explorer.getAttribute("parts-url");
      const [mesh, faceIds] = await Promise.all([
        explorer.fetched(explorer.getAttribute("mesh")),
        explorer.fetched(`${address}/${explorer.opened.version}/face_ids.npy`),
      ]);
      const form = new FormData();
      form.set("pipeline", "complete_parts");
      form.set("name", explorer.getAttribute("name"));
      form.set("file", await mesh.blob(), "mesh.glb");
      form.set("face_ids", await faceIds.blob(), "face_ids.npy");
      const answer = await fetch("/api/v1/jobs", { method: "POST", body: form, headers: { "X-CSRF-Token": document.body.dataset.csrf } });
      const said = await answer.json().catch(() => null);
      if (!answer.ok || !said) throw new Error(said ? inWords(said) : unreadable(answer));
      location.assign(said.links.page);
    } catch (error) {
      this.trouble(error instanceof TypeError ? SILENT : error.message);
    }
    this.isClosing = false;
    explorer.showControls();
  }

  download(write, ending) {
    const { list, parts } = this.explorer;
    const chosen = list.chosen;
    const wanted = chosen.length ? chosen.map((index) => parts[index]) : parts.filter(({ isHidden }) => !isHidden);
    const stem = this.explorer.getAttribute("name").replace(/\.[^.]*$/, "");
    const name = `${stem}-${wanted.length === 1 ? wanted[0].name : "parts"}`.replace(/[^\p{L}\p{N} ._-]/gu, "_");
    save(write(this.explorer.primitives, wanted), `${name}.${ending}`);
    this.explorer.tell(`${several(wanted.length)} written as ${ending.toUpperCase()}`);
  }

  saveGlb() {
    this.download(partsToGlb, "glb");
  }

  saveStl() {
    this.download(partsToStl, "stl");
  }
}
