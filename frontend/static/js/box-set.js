// The boxes that are drawn around parts: what was changed, what can be undone, and what is wrong.
// A box is { name, color, box }, and `box` its three lowest and then its three highest coordinates.
import { centreOf, holdsPoint } from "./box-surface.js";

export const AXES = ["x", "y", "z"];
const SHARE_OF_WHOLE = 1 / 3; // of a new box, on each side
const SLACK = 1e-4; // as on the server, which has the last word
const MOST = 1000;

function sizeOf(box) {
  return [0, 1, 2].map((axis) => box[axis + 3] - box[axis]);
}

export class BoxSet {
  /** `whole` is the box of the mesh, `primitives` its surface. */
  constructor(whole, primitives) {
    this.whole = whole;
    this.largest = Math.max(...sizeOf(whole)) || 1;
    this.primitives = primitives;
    this.judged = new WeakMap();
    this.start([]);
  }

  /** Begin anew with some boxes; nothing can be undone then. */
  start(boxes) {
    this.state = { boxes, chosen: -1 };
    [this.past, this.future] = [[], []];
  }

  get boxes() {
    return this.state.boxes;
  }

  get chosen() {
    return this.state.chosen;
  }

  get chosenBox() {
    return this.boxes[this.chosen] ?? null;
  }

  choose(index) {
    this.state = { ...this.state, chosen: index };
  }

  /** Remember what is there, for undo; `set` may follow as often as a pointer moves. */
  hold() {
    this.held = this.state;
  }

  /** Make what was set since `hold` one step that can be undone. */
  keep() {
    const { held } = this;
    this.held = null;
    if (!held || held.boxes === this.boxes) return false;
    this.past.push(held);
    this.future = [];
    return true;
  }

  set(boxes, chosen = this.chosen) {
    this.state = { boxes, chosen };
  }

  change(boxes, chosen) {
    this.hold();
    this.set(boxes, chosen);
    return this.keep();
  }

  withChosen(box) {
    return this.boxes.map((one, index) => (index === this.chosen ? { ...one, box } : one));
  }

  /** The chosen box with another coordinate of one of its six sides; it does not turn inside out. */
  withSide(side, value) {
    const box = [...this.chosenBox.box];
    const other = box[(side + 3) % 6];
    box[side] = side < 3 ? Math.min(value, other) : Math.max(value, other);
    return this.withChosen(box);
  }

  withMoved(from, by) {
    return this.withChosen(from.map((value, at) => value + by[at % 3]));
  }

  add(name, color) {
    if (this.boxes.length >= MOST) return false;
    const middle = centreOf(this.whole);
    const half = sizeOf(this.whole).map((size) => (size * SHARE_OF_WHOLE) / 2 || this.largest / 100);
    const box = [...middle.map((value, axis) => value - half[axis]), ...middle.map((value, axis) => value + half[axis])];
    return this.change([...this.boxes, { name, color, box }], this.boxes.length);
  }

  remove() {
    const { chosen } = this;
    const left = this.boxes.filter((_, index) => index !== chosen);
    return this.change(left, Math.min(chosen, left.length - 1));
  }

  undo() {
    this.future.push(this.state);
    this.state = this.past.pop();
  }

  redo() {
    this.past.push(this.state);
    this.state = this.future.pop();
  }

  /** What is wrong with a box, or "". */
  problemOf(one) {
    if (!this.judged.has(one.box)) this.judged.set(one.box, this.judge(one.box));
    return this.judged.get(one.box);
  }

  judge(box) {
    const sizes = sizeOf(box);
    const turned = sizes.findIndex((size) => size < 0);
    if (turned >= 0) return `its lowest ${AXES[turned]} is above its highest`;
    if (sizes.every((size) => size === 0)) return "it is a single point";
    const slack = SLACK * this.largest;
    const isApart = [0, 1, 2].some((axis) => box[axis] > this.whole[axis + 3] + slack || box[axis + 3] < this.whole[axis] - slack);
    if (isApart) return "it lies outside of the mesh";
    return holdsPoint(this.primitives, box) ? "" : "it is empty: no point of the mesh lies in it";
  }

  get problems() {
    return this.boxes.map((one) => this.problemOf(one));
  }

  /** Pairs of corners, as the server takes them. */
  toDocument() {
    return this.boxes.map(({ box }) => [box.slice(0, 3), box.slice(3)]);
  }
}
