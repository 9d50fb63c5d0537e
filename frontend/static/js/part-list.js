// The list of parts: a listbox in which several can be chosen.

const numbers = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("fr"); // thin spaces between thousands, as elsewhere

function row() {
  const item = document.createElement("li");
  item.setAttribute("role", "option");
  item.className = "part";
  item.innerHTML = '<span class="part-color" aria-hidden="true"></span><span class="part-name"></span><span class="part-facts numbers"></span>';
  return item;
}

function volume(cubicMetres) {
  const [value, unit] = cubicMetres < 0.01 ? [1e6 * cubicMetres, "cm³"] : [cubicMetres, "m³"];
  return `${numbers.format(value).replaceAll(",", "\u202f")} ${unit}`;
}

function facts(part) {
  const said = [`${whole.format(part.faces)} faces`, `${numbers.format(100 * part.share)} % of area`];
  if (part.volume !== null) said.push(volume(part.volume));
  if (part.isHidden) said.push("hidden");
  else if (part.isPartlyHidden) said.push("partly hidden");
  return said.join(" · ");
}

export class PartList {
  /** `on` has `choose(indices)`, `point(index | null)`, and `adds(event)`: choose one more? */
  constructor(element, on) {
    this.element = element;
    this.on = on;
    this.active = 0;
    this.anchor = 0; // where a range begins that is chosen with Shift
    element.addEventListener("click", (event) => this.clicked(event));
    element.addEventListener("keydown", (event) => this.pressed(event));
    element.addEventListener("pointerover", (event) => on.point(this.indexOf(event.target)));
    element.addEventListener("pointerleave", () => on.point(null));
    element.addEventListener("focusin", (event) => this.activate(this.indexOf(event.target) ?? this.active, false));
  }

  indexOf(target) {
    const item = target.closest?.(".part");
    return item ? [...this.element.children].indexOf(item) : null;
  }

  show(parts) {
    this.parts = parts;
    const items = this.element.children;
    while (items.length > parts.length) items[items.length - 1].remove();
    while (items.length < parts.length) this.element.append(row());
    this.active = Math.min(this.active, parts.length - 1);
    parts.forEach((part, index) => {
      const item = items[index];
      item.setAttribute("aria-selected", String(part.isChosen));
      item.tabIndex = index === this.active ? 0 : -1;
      item.classList.toggle("part-hidden", part.isHidden);
      item.querySelector(".part-color").style.setProperty("background", part.color);
      item.querySelector(".part-name").textContent = part.name;
      item.querySelector(".part-facts").textContent = facts(part);
    });
  }

  point(index) {
    [...this.element.children].forEach((item, at) => item.classList.toggle("part-pointed", at === index));
  }

  activate(index, focus = true) {
    const items = this.element.children;
    if (!items[index]) return;
    if (items[this.active]) items[this.active].tabIndex = -1;
    this.active = index;
    items[index].tabIndex = 0;
    if (focus) items[index].focus();
  }

  reveal(index) {
    this.activate(index, false);
    const item = this.element.children[index];
    if (!item) return;
    const [top, bottom] = [item.offsetTop, item.offsetTop + item.offsetHeight];
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (bottom > scrollTop + clientHeight) this.element.scrollTop = bottom - clientHeight;
  }

  get chosen() {
    return this.parts.flatMap((part, index) => (part.isChosen ? [index] : []));
  }

  toggled(index) {
    const chosen = new Set(this.chosen);
    if (!chosen.delete(index)) chosen.add(index);
    return [...chosen];
  }

  clicked(event) {
    const index = this.indexOf(event.target);
    if (index === null) return;
    const [from, to] = [Math.min(index, this.anchor), Math.max(index, this.anchor)];
    const range = Array.from({ length: to - from + 1 }, (_, at) => from + at);
    const isOnly = this.chosen.length === 1 && this.chosen[0] === index;
    if (event.shiftKey) this.on.choose(range);
    else if (this.on.adds(event)) this.on.choose(this.toggled(index));
    else this.on.choose(isOnly ? [] : [index]);
    if (!event.shiftKey) this.anchor = index;
    this.activate(index);
  }

  pressed(event) {
    const last = this.parts.length - 1;
    const moves = { ArrowDown: this.active + 1, ArrowUp: this.active - 1, Home: 0, End: last, PageDown: this.active + 8, PageUp: this.active - 8 };
    if (event.key in moves && !event.ctrlKey && !event.metaKey) {
      const to = Math.min(Math.max(moves[event.key], 0), last);
      this.activate(to);
      this.on.point(to);
      if (event.shiftKey) this.on.choose([...new Set([...this.chosen, to])]);
    } else if (event.key === " " || event.key === "Enter") {
      this.on.choose(this.toggled(this.active));
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}
