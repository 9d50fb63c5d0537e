// "Edit boxes": boxes around parts, drawn on the model or typed, and completed as a new job.
import { BoxHandles } from "./box-handles.js";
import { BoxPanel } from "./box-panel.js";
import { completeBoxes, remember, remembered } from "./box-sending.js";
import { BoxSet } from "./box-set.js";
import { facesInNone, isInBox, jointBox, smallestBox } from "./box-surface.js";
import { save } from "./part-files.js";

const SAME = 1e-4; // of the mesh: what lies on a side is within

export class PartBoxes {
  constructor(explorer) {
    this.explorer = explorer;
    const { boxTool } = explorer.the;
    boxTool?.addEventListener("change", () => this.turnTo(boxTool.checked));
    window.addEventListener("pageshow", ({ persisted }) => persisted && this.sent()); // come back to
  }

  get isOn() {
    return Boolean(this.explorer.the.boxTool?.checked);
  }

  /** The mesh is there: take up what was drawn before the page was loaded anew. */
  async ready() {
    const { explorer } = this;
    const { the } = explorer;
    if (!the.boxTool) return;
    this.set = new BoxSet(jointBox(explorer.measured.boxes), explorer.primitives);
    this.panel = new BoxPanel(explorer, this.set, this);
    const on = { hold: () => this.set.hold(), keep: () => this.kept(), choose: (index) => this.choose(index) };
    on.side = (side, value) => this.drag(this.set.withSide(side, value));
    on.move = (from, by) => this.drag(this.set.withMoved(from, by));
    this.handles = new BoxHandles(the.boxLayer, this.set, on);
    const before = remembered();
    if (!before) return;
    this.set.start(before.boxes);
    this.isChanged = before.isChanged;
    if (!before.isOn) return;
    the.boxTool.checked = true;
    await this.turnTo(true);
    if (this.isChanged) explorer.tell("the boxes are as you left them");
  }

  async turnTo(on) {
    const { explorer, handles } = this;
    const { the, scene } = explorer;
    if (on && the.pick?.checked) the.pick.click();
    the.side.hidden = on;
    the.boxPanel.hidden = the.boxLayer.hidden = !on;
    for (const control of [the.boxes, the.explode, the.pick]) if (control) control.disabled = on;
    if (on) {
      the.explode.value = 0; // boxes are where the parts were
      explorer.explode();
      scene?.showBoxes(false);
      if (!this.isChanged) this.set.start(await this.firstBoxes());
      await this.draws();
    } else {
      scene?.showBoxes(the.boxes.checked);
      this.frames?.hide();
      explorer.showScene();
    }
    handles.layer.hidden = !on || !scene;
    this.show();
  }

  /** The boxes that were sent with the job, else those around the parts. */
  async firstBoxes() {
    const { explorer } = this;
    const colors = explorer.kept.patch_colors;
    const drawn = await this.given();
    if (!drawn) return explorer.parts.map(({ name, color, box }) => ({ name, color, box }));
    return drawn.map((box, at) => ({ name: `box_${at}`, color: colors[at % colors.length], box: box.flat() }));
  }

  async given() {
    const address = this.explorer.getAttribute("boxes-url");
    if (!address || this.explorer.editing.changes.length) return null;
    try {
      return await (await this.explorer.fetched(address)).json();
    } catch {
      return null; // those around the parts do as well
    }
  }

  async draws() {
    const { scene } = this.explorer;
    if (!scene || this.frames) return;
    const { BoxFrames } = await import("./box-lines.js"); // with three.js, which comes last
    this.frames = new BoxFrames(scene);
  }

  /* --- what is shown -------------------------------------------------------------------------- */

  show() {
    if (!this.set) return;
    remember({ isOn: this.isOn, isChanged: this.isChanged, boxes: this.set.boxes });
    if (!this.isOn) return;
    this.showFrames();
    this.panel.show(facesInNone(this.explorer.primitives, this.set.boxes));
  }

  showFrames() {
    this.frames?.show(this.set.boxes, this.set.chosen);
  }

  /** A frame was drawn: names and handles go with it. */
  drawn() {
    const { scene } = this.explorer;
    if (this.isOn && this.set && scene) this.handles.place(scene);
  }

  choose(index) {
    this.set.choose(index);
    this.show();
    const one = this.set.chosenBox;
    this.explorer.tell(one ? `${one.name} chosen` : "no box chosen");
  }

  /** Choose the smallest box around what is at a place of the window. */
  async chooseAt(clientX, clientY) {
    const { pointAt } = await import("./part-ray.js");
    const point = await pointAt(this.explorer.scene, clientX, clientY);
    const slack = SAME * this.set.largest;
    const wider = (box) => box.map((value, side) => value + (side < 3 ? -slack : slack));
    this.choose(point ? smallestBox(this.set.boxes, (box) => isInBox(...point, wider(box))) : -1);
  }

  /* --- changing ------------------------------------------------------------------------------- */

  drag(boxes) {
    this.set.set(boxes);
    this.showFrames();
    this.panel.showNumbers();
  }

  kept() {
    if (this.set.keep()) this.changed("");
    else this.show();
  }

  changed(told) {
    this.isChanged = true;
    this.panel.calm();
    this.show();
    if (told) this.explorer.tell(told);
  }

  /** A number was typed; what makes no sense stays, and is told. */
  type(box) {
    if (this.set.change(this.set.withChosen(box))) this.changed("");
  }

  addBox() {
    const used = new Set(this.set.boxes.map(({ color }) => color));
    const colors = this.explorer.kept.patch_colors;
    const names = new Set(this.set.boxes.map(({ name }) => name));
    let number = this.set.boxes.length;
    while (names.has(`box_${number}`)) number += 1;
    const color = colors.find((one) => !used.has(one)) ?? colors[number % colors.length];
    if (this.set.add(`box_${number}`, color)) this.changed(`box_${number} added in the middle of the mesh`);
  }

  deleteBox() {
    const { name } = this.set.chosenBox;
    if (this.set.remove()) this.changed(`${name} deleted`);
  }

  undoBox() {
    this.set.undo();
    this.changed("undone");
  }

  redoBox() {
    this.set.redo();
    this.changed("done again");
  }

  async resetBoxes() {
    this.set.change(await this.firstBoxes(), -1); // what was drawn comes back by undo
    this.panel.calm();
    this.isChanged = false;
    this.show();
    this.explorer.tell("the boxes are as at the beginning; undo brings yours back");
  }

  downloadBoxes() {
    const stem = this.explorer.getAttribute("name").replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N} ._-]/gu, "_");
    save(new Blob([JSON.stringify(this.set.toDocument())], { type: "application/json" }), `${stem}-boxes.json`);
  }

  async sendBoxes() {
    const { explorer, panel } = this;
    panel.isSending = true;
    panel.showControls();
    try {
      await completeBoxes({
        mesh: async () => (await explorer.fetched(explorer.getAttribute("boxes-mesh"))).blob(),
        name: explorer.getAttribute("name"),
        boxes: this.set.toDocument(),
        settings: panel.settings,
        tell: (text, share) => panel.tell(text, share),
      });
      return; // the page is being left: nothing is to be sent twice
    } catch (error) {
      if (error.box !== null && error.box !== undefined) this.choose(error.box);
      panel.trouble(error instanceof TypeError ? "The server does not answer." : error.message);
      this.sent();
    }
  }

  /** Nothing is on its way any more. */
  sent() {
    if (!this.panel) return;
    this.panel.isSending = false;
    this.panel.showControls();
  }

  /* --- keys ----------------------------------------------------------------------------------- */

  /** The keys while boxes are edited; those of parts have a rest. */
  pressed(event) {
    const isWithControl = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    if (isWithControl) return key === "z" ? this.press(event.shiftKey ? "redoBox" : "undoBox") : key === "y" && this.press("redoBox");
    if (key === "delete" || key === "backspace") return this.press("deleteBox");
    if (key === "n") return this.press("addBox");
    if (key === "f") return this.press("frame");
    if (key === "e" || (key === "escape" && !this.set.chosenBox)) this.explorer.the.boxTool.click();
    else if (key === "escape") this.choose(-1);
    else return key.length === 1 && "hiamsrwbp".includes(key);
    return true;
  }

  press(name) {
    const { buttons } = this.explorer;
    if (!buttons[name].disabled && !buttons[name].hidden) this.explorer.do(name);
    return true;
  }
}
