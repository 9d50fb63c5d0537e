// <part-explorer>: a mesh in parts, to look at and to divide otherwise. Edits happen here at once;
// saving sends them to the server, which keeps each version.
import { PartBoxes } from "./part-boxes.js";
import { showControls } from "./part-controls.js";
import { Division, Editing } from "./part-division.js";
import { PartEdits } from "./part-edits.js";
import { PartKeeping } from "./part-keeping.js";
import { listenToKeys } from "./part-keys.js";
import { PartList } from "./part-list.js";
import { PartPick } from "./part-pick.js";
import { listenToPointer } from "./part-pointer.js";
import { readWhole } from "./part-progress.js";
import { CHOSEN, DIMMED, PICKED, POINTED, SHOWN } from "./part-shaders.js";
import { jointBox, measurePatches, readSurface } from "./part-surface.js";
import { PartVersions } from "./part-versions.js";
import { several } from "./part-words.js";

const LOST = "The graphics card has dropped the model. It comes back by itself; if not, reload the page.";
const NO_WEBGL = "The model cannot be shown here (is WebGL switched off?). The list, the edits and the downloads work.";

class PartExplorer extends HTMLElement {
  connectedCallback() {
    if (this.the) return;
    this.build();
    this.load().catch((error) => this.failed(error));
  }

  build() {
    const content = this.querySelector("template").content.cloneNode(true);
    this.the = {};
    this.frames = 0; // drawn so far
    content.querySelectorAll("[data-the]").forEach((element) => (this.the[element.dataset.the] = element));
    this.buttons = {};
    content.querySelectorAll("[data-do]").forEach((button) => {
      this.buttons[button.dataset.do] = button;
      button.addEventListener("click", () => this.do(button.dataset.do));
    });
    this.tools = [...content.querySelectorAll(".parts-tools, .parts-side")];
    this.tools.forEach((element) => (element.inert = true)); // until there is something to edit
    this.modes = [...content.querySelectorAll("[data-mode]")];
    this.fallback = this.querySelector("[data-fallback]");
    this.fallback.hidden = true;
    this.append(content);
    this.list = new PartList(this.the.list, {
      choose: (indices) => this.choose(indices),
      point: (index) => this.point(index),
      adds: (event) => this.adds(event),
    });
    this.edits = new PartEdits(this);
    this.keeping = new PartKeeping(this);
    this.versions = new PartVersions(this);
    this.pick = new PartPick(this);
    this.drawing = new PartBoxes(this);
    this.listen();
  }

  /** Do what a button says: look, edit, or keep. */
  do(name) {
    const owner = [this.edits, this.keeping, this.versions, this.pick, this.drawing, this].find((one) => name in one);
    const hadFocus = document.activeElement === this.buttons[name];
    owner[name]();
    if (hadFocus && this.buttons[name].disabled) this.list.activate(this.list.active); // else the page would have it
  }

  listen() {
    const { the } = this;
    this.modes.forEach((button) => button.addEventListener("click", () => this.colourBy(button.dataset.mode)));
    the.wireframe.addEventListener("change", () => this.scene?.showWireframe(the.wireframe.checked));
    the.boxes.addEventListener("change", () => {
      this.scene?.showBoxes(the.boxes.checked);
      this.scene?.draw();
    });
    the.explode.addEventListener("input", () => this.explode());
    the.slider.addEventListener("input", () => this.edits.preview(Number(the.slider.value)));
    the.slider.addEventListener("change", () => this.edits.setCount(Number(the.slider.value)));
    the.number.addEventListener("change", () => this.edits.setCount(Number(the.number.value)));
    listenToKeys(this);
  }

  async load() {
    const drawing = import("./part-scene.js"); // the largest of the scripts comes beside the files
    drawing.catch(() => null); // told where it is waited for
    const [surface, tree] = await Promise.all([
      this.fetched(this.getAttribute("src")),
      this.fetched(this.getAttribute("tree")).then((answer) => answer.json()),
      this.loadVersion(),
    ]);
    this.tree = tree;
    const { noteText } = this.the;
    const buffer = await readWhole(surface, (share) => (noteText.textContent = `Loading the model… ${Math.floor(100 * share)} %`));
    this.primitives = readSurface(buffer);
    this.measured = measurePatches(this.primitives, tree.patch_count);
    this.area = this.measured.areas.reduce((sum, area) => sum + area, 0);
    this.unseen = new Uint8Array(tree.patch_count);
    this.marked = new Uint8Array(tree.patch_count);
    this.pointed = null;
    const start = Division.read(tree);
    const made = this.kept.version === 1 ? this.kept : await this.version(1);
    this.made = new Map(start.parts.map((patches, index) => [patches.join(), made.parts[index]]));
    this.opened = this.kept;
    this.start(start);
    this.versions.refresh();
    await this.startScene(drawing);
    await this.drawing.ready();
    this.tools.forEach((element) => (element.inert = false));
    this.dataset.ready = "true";
  }

  async fetched(address) {
    const answer = await fetch(address);
    if (!answer.ok) throw Object.assign(new Error(`The server answered ${answer.status} for a file of this job.`), { status: answer.status });
    return answer;
  }

  async version(number) {
    const wanted = number ? `?version=${number}` : "";
    return (await this.fetched(this.getAttribute("parts-url") + wanted)).json();
  }

  async loadVersion() {
    this.kept = await this.version();
  }

  start(division) {
    this.editing = new Editing(division, this.kept.edits, this.kept.done);
    this.showParts();
  }

  async startScene(drawing) {
    const { stage, note } = this.the;
    try {
      const { PartScene } = await drawing;
      this.scene = new PartScene(stage, { onDraw: () => this.drawn(), onLost: (isLost) => this.lost(isLost) });
    } catch {
      this.the.noteText.textContent = NO_WEBGL;
      this.dataset.webgl = "false";
      return;
    }
    await this.scene.load(this.primitives, this.measured);
    this.showParts();
    this.scene.frameFromFront();
    note.hidden = true;
    this.buttons.frame.hidden = false;
    listenToPointer(this, this.scene.canvas);
  }

  drawn() {
    this.frames += 1;
    this.drawing.drawn();
  }

  /** The graphics card took the model away, or gave it back. */
  lost(isLost) {
    this.the.noteText.textContent = LOST;
    this.the.note.hidden = !isLost;
    if (isLost) this.tell(LOST);
  }

  failed(error) {
    console.warn(`The parts could not be loaded: ${error.message}`);
    const why = error instanceof TypeError ? "The server does not answer." : error.message; // fetch() throws it
    this.fallback.querySelector("[data-why]").textContent = `The parts could not be shown in 3D. ${why}`;
    this.fallback.querySelector("[data-failed]").hidden = false;
    this.fallback.hidden = false;
    this.querySelector(".parts-grid").hidden = true;
    this.dataset.ready = "failed";
  }

  /* --- what is shown -------------------------------------------------------------------------- */

  get division() {
    return this.previewed ?? this.editing.division;
  }

  describe(patches, index) {
    const { faces, areas, boxes } = this.measured;
    const made = this.made.get(patches.join());
    return {
      patches,
      name: this.division.nameOf(index),
      color: this.kept.patch_colors[patches[0]],
      faces: patches.reduce((sum, patch) => sum + faces[patch], 0),
      share: patches.reduce((sum, patch) => sum + areas[patch], 0) / (this.area || 1),
      box: jointBox(patches.map((patch) => boxes[patch])),
      volume: made?.volume ?? null,
      files: made?.files ?? [],
      notice: made?.notice ?? "",
      isHidden: patches.every((patch) => this.unseen[patch]),
      isPartlyHidden: patches.some((patch) => this.unseen[patch]),
      isChosen: patches.every((patch) => this.marked[patch]),
    };
  }

  showParts() {
    const { division } = this;
    this.parts = division.parts.map((patches, index) => this.describe(patches, index));
    for (const part of this.parts.filter(({ isChosen }) => !isChosen)) {
      part.patches.forEach((patch) => (this.marked[patch] = 0));
    }
    this.list.show(this.parts);
    this.showScene();
    this.showControls();
  }

  showScene() {
    const pointed = this.pointed === null ? -1 : this.pointed;
    const { patchParts } = this.division;
    const picked = new Set(this.pick.patches);
    const other = picked.size ? DIMMED : 0;
    this.scene?.show(this.parts, (patch) => {
      if (this.unseen[patch]) return 0;
      const marks = (patchParts[patch] === pointed ? POINTED : 0) + (picked.has(patch) ? PICKED : other);
      return SHOWN + marks + (this.marked[patch] ? CHOSEN : 0);
    });
    this.list.point(this.pointed);
  }

  showControls() {
    showControls(this);
    this.pick.showControls();
  }

  tell(text) {
    this.the.told.textContent = text;
  }

  /* --- looking -------------------------------------------------------------------------------- */

  colourBy(mode) {
    this.modes.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.mode === mode)));
    this.scene?.setMode(mode);
  }

  explode() {
    if (!this.scene) return;
    this.scene.spread = Number(this.the.explode.value) / 100;
    this.showScene();
  }

  frame() {
    this.scene?.frame();
  }

  /** Whether a click chooses one more part; a finger has no Ctrl key. */
  adds(event) {
    return event.ctrlKey || event.metaKey || this.the.several.checked;
  }

  point(index) {
    if (index === this.pointed || !this.scene) return;
    this.pointed = index;
    this.showScene();
  }

  choose(indices) {
    this.marked.fill(0);
    indices.forEach((index) => this.parts[index].patches.forEach((patch) => (this.marked[patch] = 1)));
    this.showParts();
    const names = indices.map((index) => this.parts[index].name);
    this.tell(names.length > 3 ? `${names.length} parts chosen` : names.length ? `${names.join(", ")} chosen` : "nothing chosen");
  }

  /** Choose the parts that some patches are in altogether. */
  choosePatches(patches) {
    this.marked.fill(0);
    patches.forEach((patch) => (this.marked[patch] = 1));
    this.showParts();
    this.list.reveal(this.parts.findIndex(({ isChosen }) => isChosen));
  }

  chosenPatches() {
    return this.list.chosen.flatMap((index) => this.parts[index].patches);
  }

  hide() {
    const hides = this.buttons.hide.textContent === "Hide";
    this.chosenPatches().forEach((patch) => (this.unseen[patch] = hides ? 1 : 0));
    this.showParts();
    this.tell(`${several(this.list.chosen.length)} ${hides ? "hidden" : "shown"}`);
  }

  isolate() {
    this.unseen.fill(1);
    this.chosenPatches().forEach((patch) => (this.unseen[patch] = 0));
    this.showParts();
    this.frame();
    this.tell(`only ${several(this.list.chosen.length)} shown`);
  }

  showAll() {
    this.unseen.fill(0);
    this.showParts();
    this.frame();
    this.tell("all parts shown");
  }
}

customElements.define("part-explorer", PartExplorer);
