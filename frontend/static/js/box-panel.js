// The panel beside the model while boxes are edited: their list, the numbers of one, what is wrong.
import { AXES } from "./box-set.js";

const whole = new Intl.NumberFormat("fr"); // thin spaces between thousands, as elsewhere
const MIDDLE = "middle";
const MOST = 1e30; // coordinates are 32-bit numbers on the graphics card and on the server

function option() {
  const item = document.createElement("li");
  item.setAttribute("role", "option");
  item.className = "part";
  item.innerHTML = '<span class="part-color" aria-hidden="true"></span><span class="part-name"></span><span class="part-facts numbers"></span>';
  return item;
}

export class BoxPanel {
  /** `on` is the tool: `choose(index)`, `type(box)`. */
  constructor(explorer, set, on) {
    Object.assign(this, { the: explorer.the, buttons: explorer.buttons, set, on });
    this.says = (text) => explorer.tell(text);
    this.given = JSON.parse(explorer.getAttribute("box-settings"));
    this.the.boxPreset.value = this.given.preset;
    this.digits = Math.max(0, 4 - Math.ceil(Math.log10(set.largest)));
    this.fields = [...this.the.boxFields.querySelectorAll("input")];
    for (const field of this.fields) {
      field.step = String(10 ** -Math.max(0, this.digits - 2));
      field.addEventListener("change", () => this.typed(field));
    }
    this.the.boxList.addEventListener("click", (event) => this.clicked(event));
    this.the.boxList.addEventListener("keydown", (event) => this.pressed(event));
    this.the.boxPreset.addEventListener("change", () => this.showInherited());
    this.showInherited();
  }

  /** What is sent along: the settings of this job, unless another quality is wanted. */
  get settings() {
    const { preset, seed, ...rest } = this.given;
    const wanted = this.the.boxPreset.value;
    const own = { preset: wanted, ...(seed === null ? {} : { seed }) };
    const kept = Object.entries(rest).filter(([, value]) => value !== null);
    return wanted === preset ? { ...own, ...Object.fromEntries(kept) } : own;
  }

  showInherited() {
    const { preset, seed, ...rest } = this.settings;
    const told = Object.entries(rest).map(([name, value]) => `${name.replace("part_", "")} ${value}`);
    this.the.boxInherited.textContent = told.length ? `As in this job: ${told.join(", ")}.` : "";
  }

  /* --- showing -------------------------------------------------------------------------------- */

  show(loose) {
    const { the, set } = this;
    const { problems } = set;
    const items = the.boxList.children;
    while (items.length > set.boxes.length) items[items.length - 1].remove();
    while (items.length < set.boxes.length) the.boxList.append(option());
    set.boxes.forEach((one, index) => this.showRow(items[index], one, index, problems[index]));
    the.boxList.hidden = !set.boxes.length;
    the.boxLoose.textContent = this.looseWords(loose);
    this.showNumbers();
    this.showControls(problems);
  }

  showRow(item, { name, color, box }, index, problem) {
    const { chosen } = this.set;
    item.setAttribute("aria-selected", String(index === chosen));
    item.tabIndex = index === Math.max(chosen, 0) ? 0 : -1;
    item.querySelector(".part-color").style.setProperty("background", color);
    item.querySelector(".part-name").textContent = name;
    const sizes = [0, 1, 2].map((axis) => this.rounded(box[axis + 3] - box[axis]));
    item.querySelector(".part-facts").textContent = problem || sizes.join(" × ");
    item.classList.toggle("box-wrong", Boolean(problem));
  }

  looseWords(loose) {
    if (!loose || !loose.free) return "";
    if (loose.free === loose.faces) return "No face of the mesh lies in a box.";
    return `${whole.format(loose.free)} of ${whole.format(loose.faces)} faces lie in no box: they stay as they are, as one more part.`;
  }

  rounded(value) {
    return Number(value.toFixed(this.digits));
  }

  showNumbers() {
    const { boxFields, boxLegend } = this.the;
    const one = this.set.chosenBox;
    boxFields.hidden = !one;
    if (!one) return;
    boxLegend.textContent = `${one.name}, in the coordinates of the mesh`;
    for (const field of this.fields) {
      field.value = this.rounded(this.valueOf(one.box, field));
    }
  }

  valueOf(box, { dataset: { end, axis } }) {
    const at = AXES.indexOf(axis);
    if (end === MIDDLE) return (box[at] + box[at + 3]) / 2;
    return box[end === "lowest" ? at : at + 3];
  }

  showControls(problems = this.set.problems) {
    const { the, buttons, set } = this;
    const wrong = set.boxes.filter((_, index) => problems[index]);
    buttons.deleteBox.disabled = !set.chosenBox;
    buttons.undoBox.disabled = !set.past.length;
    buttons.redoBox.disabled = !set.future.length;
    buttons.downloadBoxes.disabled = !set.boxes.length;
    buttons.sendBoxes.disabled = !set.boxes.length || wrong.length > 0 || Boolean(this.isSending);
    the.boxBusy.hidden = !this.isSending;
    const first = wrong[0];
    const more = wrong.length > 1 ? ` ${wrong.length - 1} more ${wrong.length === 2 ? "box has" : "boxes have"} to be mended.` : "";
    const text = first ? `${first.name} cannot be completed: ${set.problemOf(first)}.${more}` : set.boxes.length ? "" : "Add a box first.";
    if (text && text !== the.boxWrong.textContent) this.says(text);
    the.boxWrong.textContent = text;
  }

  /** Tell how the sending goes, `share` of it done. */
  tell(text, share = null) {
    const { boxProgress, boxStatus } = this.the;
    boxStatus.textContent = text;
    if (share === null) this.says(text);
    boxProgress.hidden = share === null;
    boxProgress.value = share ?? 0;
  }

  trouble(text) {
    this.the.boxTrouble.textContent = text;
    this.the.boxTrouble.hidden = false;
    this.says(text);
  }

  calm() {
    this.the.boxTrouble.hidden = true;
  }

  /* --- doing ---------------------------------------------------------------------------------- */

  typed(field) {
    const { end, axis } = field.dataset;
    const box = [...this.set.chosenBox.box];
    const at = AXES.indexOf(axis);
    const value = Number(field.value);
    const by = value - this.valueOf(box, field);
    if (field.value === "" || !Number.isFinite(by) || Math.abs(value) > MOST) {
      this.showNumbers(); // as it was
      this.says(`that is no number for ${axis}; it is as it was`);
      return;
    }
    if (end === MIDDLE) [at, at + 3].forEach((side) => (box[side] += by));
    else box[end === "lowest" ? at : at + 3] = value;
    this.on.type(box);
  }

  clicked(event) {
    const item = event.target.closest(".part");
    if (item) this.choose([...this.the.boxList.children].indexOf(item));
  }

  choose(index) {
    this.on.choose(index);
    this.the.boxList.children[index]?.focus();
  }

  pressed(event) {
    const last = this.set.boxes.length - 1;
    const at = [...this.the.boxList.children].indexOf(event.target);
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last, " ": at, Enter: at };
    if (!(event.key in moves)) return;
    this.choose(Math.min(Math.max(moves[event.key], 0), last));
    event.preventDefault();
    event.stopPropagation();
  }
}
