// The keyboard of the part explorer: letters work while the focus is in it and not in a field.

import { whyNoSplit } from "./part-controls.js";

const BUTTONS = { h: "hide", i: "isolate", a: "showAll", m: "merge", s: "split", r: "rename", F2: "rename", f: "frame" };
const BOXES = { w: "wireframe", b: "boxes", p: "pick", e: "boxTool" };
const TURNS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

// What is told when a key is pressed whose button cannot be used.
const NOT_NOW = {
  hide: "choose a part first",
  isolate: "choose a part first",
  showAll: "all parts are shown",
  merge: "choose two parts or more to merge them",
  rename: "choose one part to rename it",
  undo: "there is nothing to undo",
  redo: "there is nothing to redo",
  save: "there is nothing to save",
};

function press(explorer, name) {
  if (!explorer.buttons[name].disabled) explorer.do(name);
  else explorer.tell(name === "split" ? whyNoSplit(explorer) : (NOT_NOW[name] ?? ""));
  return true;
}

function withControl(explorer, event) {
  const key = event.key.toLowerCase();
  if (key === "z") return press(explorer, event.shiftKey ? "redo" : "undo");
  if (key === "y") return press(explorer, "redo");
  if (key === "s") return press(explorer, "save");
  if (key !== "a") return false;
  explorer.choose(explorer.parts.map((_, index) => index));
  return true;
}

function alone(explorer, key) {
  if (key in BUTTONS) return press(explorer, BUTTONS[key]);
  if (key in BOXES) {
    explorer.the[BOXES[key]]?.click();
    return Boolean(explorer.the[BOXES[key]]);
  }
  if (key === "Escape" && explorer.pick.isOn) {
    explorer.pick.escape();
    return true;
  }
  if (key !== "Escape" || !explorer.list.chosen.length) return false;
  explorer.choose([]);
  return true;
}

function onStage({ scene, the, pick }, event) {
  if (event.target !== the.stage || !scene) return false;
  if (event.key in TURNS) scene.turn(...TURNS[event.key]);
  else if (event.key === "+" || event.key === "=") scene.zoom(1);
  else if (event.key === "-") scene.zoom(-1);
  else if (event.key === "Enter" && pick.isOn) pick.askAtMiddle();
  else return false;
  return true;
}

export function listenToKeys(explorer) {
  explorer.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("select, input:not([type=checkbox], [type=range])");
    if (event.defaultPrevented || event.altKey || isTyping || explorer.dataset.ready !== "true") return;
    const isWithControl = event.ctrlKey || event.metaKey;
    const press = () => (isWithControl ? withControl(explorer, event) : alone(explorer, event.key));
    const { drawing } = explorer;
    const isOurs = (!isWithControl && onStage(explorer, event)) || (drawing.isOn ? drawing.pressed(event) : press());
    if (!isOurs) return;
    event.preventDefault();
    event.stopPropagation(); // the page has shortcuts of its own
  });
}
