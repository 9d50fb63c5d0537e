// The 3D view: loads the newest model there is, keeps the camera, shows appearance or geometry.
const GEOMETRY_COLOUR = [0.72, 0.74, 0.8, 1];

export class Viewer {
  constructor(root) {
    this.root = root;
    this.empty = root.querySelector("#viewer-empty");
    this.geometry = false;
    this.source = null;
  }

  /** Show ``source``; ``poster`` is seen while it loads. */
  async show(source, poster) {
    if (!source || source === this.source) return;
    this.source = source;
    await import("../vendor/model-viewer-4.4.0/model-viewer-module.min.js");
    if (!this.element) this.create(poster);
    this.root.dataset.ready = "false";
    this.element.src = source;
  }

  create(poster) {
    const element = document.createElement("model-viewer");
    element.setAttribute("alt", `3D model of ${this.root.dataset.name}`);
    element.setAttribute("camera-controls", "");
    element.setAttribute("touch-action", "pan-y");
    element.setAttribute("interaction-prompt", "none");
    element.setAttribute("camera-orbit", "28deg 76deg 105%");
    element.setAttribute("shadow-intensity", "0.6");
    element.setAttribute("tone-mapping", "neutral");
    if (poster) element.setAttribute("poster", poster);
    element.addEventListener("load", () => this.loaded());
    element.addEventListener("error", () => this.failed());
    this.element = element;
    this.root.prepend(element);
  }

  loaded() {
    if (!this.element.model) return; // a newer file is on its way
    this.empty.hidden = true;
    this.colours = this.element.model.materials.map((material) => ({
      material,
      texture: material.pbrMetallicRoughness.baseColorTexture.texture,
      colour: [...material.pbrMetallicRoughness.baseColorFactor],
    }));
    this.paint();
    this.root.dataset.ready = "true";
  }

  failed() {
    this.empty.hidden = false;
    document.getElementById("viewer-text").textContent =
      "The 3D view cannot be shown here (is WebGL switched off?). The downloads work.";
  }

  showGeometry(on) {
    this.geometry = on;
    document.getElementById("show-geometry").setAttribute("aria-pressed", String(on));
    document.getElementById("show-appearance").setAttribute("aria-pressed", String(!on));
    this.paint();
  }

  paint() {
    for (const { material, texture, colour } of this.colours ?? []) {
      const surface = material.pbrMetallicRoughness;
      surface.baseColorTexture.setTexture(this.geometry ? null : texture);
      surface.setBaseColorFactor(this.geometry ? GEOMETRY_COLOUR : colour);
    }
  }

  frame() {
    if (!this.element) return;
    this.element.cameraOrbit = "28deg 76deg 105%";
    this.element.updateFraming();
  }
}
