// A brush over the picture. White of the mask is the object; the rest is dimmed.
const UNDO_STEPS = 20;
const KEY_STEP = 8;

function loadImage(source) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = reject;
    image.src = source;
  });
}

export class MaskEditor {
  constructor(root) {
    this.root = root;
    this.canvas = root.querySelector("canvas");
    this.context = this.canvas.getContext("2d");
    this.mask = document.createElement("canvas");
    this.maskContext = this.mask.getContext("2d", { willReadFrequently: true });
    this.erasing = false;
    this.history = [];
    this.changed = false;
  }

  async load() {
    const { picture, mask } = this.root.dataset;
    [this.picture, this.original] = await Promise.all([loadImage(picture), loadImage(mask)]);
    const { naturalWidth: width, naturalHeight: height } = this.picture;
    for (const canvas of [this.canvas, this.mask]) Object.assign(canvas, { width, height });
    this.cursor = { x: width / 2, y: height / 2 };
    this.reset();
    this.listen();
    this.root.dataset.ready = "true";
  }

  reset() {
    this.maskContext.drawImage(this.original, 0, 0, this.mask.width, this.mask.height);
    this.history = [];
    this.changed = false;
    this.draw();
  }

  listen() {
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.remember();
      this.last = this.place(event);
      this.stroke(this.last, this.last);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!this.canvas.hasPointerCapture(event.pointerId)) return;
      const here = this.place(event);
      this.stroke(this.last, here);
      this.last = here;
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.root.addEventListener("click", (event) => this.press(event));
  }

  press(event) {
    const button = event.target.closest("button");
    if (button?.dataset.brush) {
      this.erasing = button.dataset.brush === "erase";
      for (const other of this.root.querySelectorAll("[data-brush]")) {
        other.setAttribute("aria-pressed", String(other === button));
      }
    } else if (button && "brushUndo" in button.dataset) this.undo();
    else if (button && "brushReset" in button.dataset) this.reset();
  }

  key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in moves) {
      const [x, y] = moves[event.key];
      this.cursor = { x: this.cursor.x + x * KEY_STEP, y: this.cursor.y + y * KEY_STEP };
      this.draw(true);
    } else if (event.key === " ") {
      this.remember();
      this.stroke(this.cursor, this.cursor);
      this.draw(true);
    } else return;
    event.preventDefault();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = Math.min(box.width / this.canvas.width, box.height / this.canvas.height);
    const left = box.left + (box.width - this.canvas.width * scale) / 2;
    const top = box.top + (box.height - this.canvas.height * scale) / 2;
    return { x: (event.clientX - left) / scale, y: (event.clientY - top) / scale };
  }

  get brush() {
    const size = Number(this.root.querySelector("#brush-size").value);
    return (size * Math.max(this.canvas.width, this.canvas.height)) / 512;
  }

  stroke(from, to) {
    const context = this.maskContext;
    context.strokeStyle = this.erasing ? "#000" : "#fff";
    context.lineWidth = this.brush;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x + 0.01, to.y);
    context.stroke();
    this.changed = true;
    this.draw();
  }

  remember() {
    this.history.push(this.maskContext.getImageData(0, 0, this.mask.width, this.mask.height));
    if (this.history.length > UNDO_STEPS) this.history.shift();
  }

  undo() {
    const before = this.history.pop();
    if (!before) return;
    this.maskContext.putImageData(before, 0, 0);
    this.draw();
  }

  draw(showCursor = false) {
    const { width, height } = this.canvas;
    const inside = document.createElement("canvas");
    Object.assign(inside, { width, height });
    const part = inside.getContext("2d");
    part.drawImage(this.alphaMask(), 0, 0);
    part.globalCompositeOperation = "source-in";
    part.drawImage(this.picture, 0, 0);
    this.context.clearRect(0, 0, width, height);
    this.context.globalAlpha = 0.22;
    this.context.drawImage(this.picture, 0, 0);
    this.context.globalAlpha = 1;
    this.context.drawImage(inside, 0, 0);
    if (showCursor) this.drawCursor();
  }

  drawCursor() {
    this.context.strokeStyle = "#8b5cf6";
    this.context.lineWidth = Math.max(2, this.canvas.width / 250);
    this.context.beginPath();
    this.context.arc(this.cursor.x, this.cursor.y, this.brush / 2, 0, 2 * Math.PI);
    this.context.stroke();
  }

  alphaMask() {
    const { width, height } = this.mask;
    const pixels = this.maskContext.getImageData(0, 0, width, height);
    for (let at = 0; at < pixels.data.length; at += 4) {
      pixels.data[at + 3] = pixels.data[at] > 127 ? 255 : 0;
    }
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    return canvas;
  }

  /** The painted mask as a PNG file. */
  file() {
    return new Promise((resolve) => {
      this.mask.toBlob((blob) => resolve(new File([blob], "mask.png", { type: "image/png" })), "image/png");
    });
  }
}

/** Put the painted mask into a form's file field. */
export async function attachMask(editor, input) {
  const transfer = new DataTransfer();
  transfer.items.add(await editor.file());
  input.files = transfer.files;
}

/** Start the editor of a cut-out panel once. */
export async function startEditor(root) {
  if (!root?.dataset.picture || root.dataset.started) return null;
  root.dataset.started = "true";
  const editor = new MaskEditor(root);
  await editor.load();
  return editor;
}
