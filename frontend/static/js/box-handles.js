// The handles of the chosen box and the names of all, as elements over the model: pointers, fingers
// and keys work on them, and they keep their size.
import { AXES } from "./box-set.js";
import { centreOf } from "./part-surface.js";

const STEP = 0.01; // of the mesh, for a key; with Shift ten times that
const LEAST_SLOPE = 0.2; // a side that moves towards the eye would jump otherwise
const MOST_NAMES = 24;
const MIDDLE = 6;
const ALONG = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };
const ACROSS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [1, 1], ArrowDown: [1, -1], PageUp: [2, 1], PageDown: [2, -1] };

/** Where a point of the mesh is seen in the stage, in pixels; null behind the eye. */
function seen({ camera, canvas }, point) {
  const at = camera.position.clone().set(...point).project(camera);
  if (at.z > 1) return null;
  return [(canvas.clientWidth * (at.x + 1)) / 2, (canvas.clientHeight * (1 - at.y)) / 2];
}

/** Pixels for one unit of the mesh, across the view at a point. */
function pixelsAt({ camera, canvas }, point) {
  const away = camera.position.distanceTo(camera.position.clone().set(...point));
  return canvas.clientHeight / (2 * Math.tan((camera.fov * Math.PI) / 360) * away);
}

function placeOf(box, side) {
  const point = centreOf(box);
  if (side < MIDDLE) point[side % 3] = box[side];
  return point;
}

export class BoxHandles {
  /** `on` has `hold()`, `side(side, value)`, `move(from, by)`, `keep()` and `choose(index)`. */
  constructor(layer, set, on) {
    Object.assign(this, { layer, set, on });
    this.names = [];
    this.handles = Array.from({ length: MIDDLE + 1 }, (_, side) => this.handle(side));
    layer.append(...this.handles);
  }

  handle(side) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "box-handle" });
    button.dataset.axis = AXES[side % 3];
    if (side === MIDDLE) button.dataset.axis = "all";
    else button.setAttribute("role", "slider");
    button.addEventListener("pointerdown", (event) => this.grab(event, side));
    button.addEventListener("keydown", (event) => this.press(event, side));
    return button;
  }

  /** Put everything where it belongs now; called with every frame. */
  place(scene) {
    this.scene = scene;
    const { boxes, chosen, chosenBox } = this.set;
    const shown = boxes.length > MOST_NAMES ? [chosen] : boxes.keys();
    const named = [...shown].filter((index) => index >= 0);
    while (this.names.length > named.length) this.names.pop().remove();
    while (this.names.length < named.length) this.names.push(this.name());
    named.forEach((index, at) => this.placeName(this.names[at], index));
    this.handles.forEach((button, side) => {
      const at = chosenBox && seen(scene, placeOf(chosenBox.box, side));
      button.hidden = !at;
      if (at) this.put(button, at);
      if (at) this.describe(button, side, chosenBox);
    });
  }

  put(element, [x, y]) {
    element.style.setProperty("transform", `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`);
  }

  describe(button, side, { name, box }) {
    const isMiddle = side === MIDDLE;
    const what = isMiddle ? `Move ${name}` : `${name}: ${side < 3 ? "lowest" : "highest"} ${AXES[side % 3]}`;
    if (button.title !== what) {
      button.title = what;
      button.setAttribute("aria-label", what);
    }
    if (!isMiddle) button.setAttribute("aria-valuenow", String(Number(box[side].toPrecision(4))));
  }

  name() {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "box-name", tabIndex: -1 });
    button.setAttribute("aria-hidden", "true"); // the list says it too
    button.addEventListener("click", () => this.on.choose(Number(button.dataset.index)));
    this.layer.prepend(button);
    return button;
  }

  placeName(button, index) {
    const { name, color, box } = this.set.boxes[index];
    const at = seen(this.scene, [(box[0] + box[3]) / 2, Math.max(box[1], box[4]), (box[2] + box[5]) / 2]);
    button.hidden = !at;
    if (!at) return;
    button.dataset.index = index;
    if (button.textContent !== name) button.textContent = name;
    button.toggleAttribute("data-chosen", index === this.set.chosen);
    button.style.setProperty("border-color", color);
    this.put(button, at);
  }

  /* --- dragging ------------------------------------------------------------------------------- */

  grab(event, side) {
    if (event.button) return;
    event.preventDefault();
    const button = this.handles[side];
    button.focus({ preventScroll: true });
    button.setPointerCapture(event.pointerId);
    const { box } = this.set.chosenBox;
    const move = side === MIDDLE ? this.movesAll(box) : this.movesSide(box, side);
    const from = [event.clientX, event.clientY];
    const dragged = (now) => move(now.clientX - from[0], now.clientY - from[1]);
    const ended = () => {
      button.removeEventListener("pointermove", dragged);
      for (const kind of ["pointerup", "pointercancel"]) button.removeEventListener(kind, ended);
      this.on.keep();
    };
    this.on.hold();
    button.addEventListener("pointermove", dragged);
    for (const kind of ["pointerup", "pointercancel"]) button.addEventListener(kind, ended);
  }

  /** What a way of the pointer, in pixels, does to one side: it follows along its axis as it is seen. */
  movesSide(box, side) {
    const point = placeOf(box, side);
    const scale = pixelsAt(this.scene, point);
    const ahead = [...point];
    ahead[side % 3] += 1 / scale; // about a pixel further
    const [here, there] = [seen(this.scene, point), seen(this.scene, ahead)];
    const slope = [(there[0] - here[0]) * scale, (there[1] - here[1]) * scale];
    const steepness = Math.max(slope[0] ** 2 + slope[1] ** 2, (LEAST_SLOPE * scale) ** 2);
    return (right, down) => this.on.side(side, box[side] + (right * slope[0] + down * slope[1]) / steepness);
  }

  movesAll(box) {
    const scale = pixelsAt(this.scene, centreOf(box));
    const turned = this.scene.camera.matrixWorld.elements;
    return (right, down) => this.on.move(box, [0, 1, 2].map((axis) => (turned[axis] * right - turned[4 + axis] * down) / scale));
  }

  press(event, side) {
    const step = STEP * this.set.largest * (event.shiftKey ? 10 : 1);
    const { box } = this.set.chosenBox;
    if (side < MIDDLE && event.key in ALONG) {
      this.once(() => this.on.side(side, box[side] + ALONG[event.key] * step));
    } else if (side === MIDDLE && event.key in ACROSS) {
      const [axis, way] = ACROSS[event.key];
      this.once(() => this.on.move(box, [0, 1, 2].map((one) => (one === axis ? way * step : 0))));
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  once(change) {
    this.on.hold();
    change();
    this.on.keep();
  }
}
