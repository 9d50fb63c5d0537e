// Single-key shortcuts: off inside fields, off altogether when the box is cleared.
const GO = { u: "#file", "/": "#q" };
const CLICK = { g: "#submit", w: "#show-geometry", f: "#frame" };

function isTyping(target) {
  return target.closest?.("input:not([type=checkbox]):not([type=radio]), textarea, select, canvas, model-viewer, dialog");
}

function move(step) {
  const links = [...document.querySelectorAll(".tile-name, .activity a")];
  if (!links.length) return;
  const next = links.indexOf(document.activeElement) + step;
  links[Math.min(Math.max(next, 0), links.length - 1)].focus();
}

function act(key) {
  if (key in GO) {
    const field = document.querySelector(GO[key]);
    field?.focus();
    if (key === "u") field?.click();
    return Boolean(field);
  }
  if (key in CLICK) {
    const button = document.querySelector(CLICK[key]);
    button?.click();
    return Boolean(button);
  }
  if (key === "j" || key === "k") {
    move(key === "j" ? 1 : -1);
    return true;
  }
  if (key === "?") {
    document.getElementById("shortcuts").showModal();
    return true;
  }
  return false;
}

function areOn() {
  try {
    return localStorage.getItem("shortcuts") !== "off";
  } catch {
    return true;
  }
}

export function installShortcuts() {
  const box = document.getElementById("shortcuts-on");
  box.checked = areOn();
  box.addEventListener("change", () => {
    try {
      localStorage.setItem("shortcuts", box.checked ? "on" : "off");
    } catch {
      // it lasts for this page only
    }
  });
  document.getElementById("show-shortcuts").addEventListener("click", () => {
    document.getElementById("shortcuts").showModal();
  });
  document.addEventListener("keydown", (event) => {
    const modified = event.ctrlKey || event.metaKey || event.altKey;
    if (modified || !box.checked || isTyping(event.target)) return;
    if (act(event.key)) event.preventDefault();
  });
}
