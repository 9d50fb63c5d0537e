// The 3D view: loads the newest model there is, keeps the camera, shows appearance or geometry.
import { drawsInSoftware, smallStudio } from "./software-drawing.js";

const GEOMETRY_COLOUR = [0.72, 0.74, 0.8, 1];
const GEOMETRY_ROUGHNESS = 0.8;
// What a surface of one colour sends back at most, as the light of the viewer is one: above it
// white runs into white and its shape cannot be seen.
const BRIGHTEST = 0.42;

export class Viewer {
  constructor(root) {
    this.root = root;
    this.empty = root.querySelector("#viewer-empty");
    this.text = root.querySelector("#viewer-text"); // the view may be taken out of the page
    this.geometry = false;
    this.source = null;
  }

  /** Show ``source``; ``poster`` is seen while it loads. */
  async show(source, poster) {
    if (!source || source === this.source) return;
    this.source = source;
    await import("../vendor/model-viewer-4.4.0/model-viewer-module.min.js");
    this.showPoster(poster);
    if (!this.element) this.create();
    this.root.dataset.ready = "false";
    this.element.src = source;
  }

  /** A picture below which the element stays empty until its model is there. */
  showPoster(poster) {
    if (!poster || this.empty.querySelector("img")) return;
    const picture = Object.assign(document.createElement("img"), { src: poster, alt: "Picture of the model" });
    this.empty.firstElementChild.prepend(picture);
  }

  /** There will be no model: the view takes no more room than its words, and has no tools. */
  showNothing() {
    this.root.classList.toggle("viewer-bare", !this.empty.querySelector("img"));
    this.root.nextElementSibling.hidden = true;
  }

  create() {
    const element = document.createElement("model-viewer");
    element.setAttribute("alt", `3D model of ${this.root.dataset.name}`);
    element.setAttribute("camera-controls", "");
    element.setAttribute("touch-action", "pan-y");
    element.setAttribute("interaction-prompt", "none");
    element.setAttribute("camera-orbit", "28deg 76deg 105%");
    element.setAttribute("shadow-intensity", "0.6");
    if (drawsInSoftware()) element.setAttribute("environment-image", smallStudio());
    element.setAttribute("tone-mapping", "neutral");
    element.addEventListener("load", () => this.loaded());
    element.addEventListener("error", () => this.failed());
    element.append(panMark());
    this.element = element;
    this.root.prepend(element);
    this.text.textContent = "Loading the model…";
  }

  loaded() {
    if (!this.element.model) return; // a newer file is on its way
    this.empty.hidden = true;
    this.colours = this.element.model.materials.map((material) => ({
      material,
      texture: material.pbrMetallicRoughness.baseColorTexture.texture,
      colour: [...material.pbrMetallicRoughness.baseColorFactor],
      shine: material.pbrMetallicRoughness.metallicRoughnessTexture.texture,
      metallic: material.pbrMetallicRoughness.metallicFactor,
      roughness: material.pbrMetallicRoughness.roughnessFactor,
    }));
    this.paint();
    this.root.dataset.ready = "true";
  }

  failed() {
    this.empty.hidden = false;
    this.text.textContent =
      "The 3D view cannot be shown here (is WebGL switched off?). The downloads work.";
  }

  showGeometry(on) {
    this.geometry = on;
    document.getElementById("show-geometry").setAttribute("aria-pressed", String(on));
    document.getElementById("show-appearance").setAttribute("aria-pressed", String(!on));
    this.paint();
  }

  paint() {
    for (const { material, texture, colour, shine, metallic, roughness } of this.colours ?? []) {
      const surface = material.pbrMetallicRoughness;
      surface.metallicRoughnessTexture.setTexture(this.geometry ? null : shine);
      surface.setMetallicFactor(this.geometry ? 0 : metallic);
      surface.setRoughnessFactor(this.geometry ? GEOMETRY_ROUGHNESS : roughness);
      surface.baseColorTexture.setTexture(this.geometry ? null : texture);
      surface.setBaseColorFactor(this.geometry ? GEOMETRY_COLOUR : colour);
    }
    this.element?.setAttribute("exposure", this.exposure());
  }

  /** How much light the view takes: less where nothing but light and shadow shows the shape. */
  exposure() {
    const looks = this.colours ?? [];
    if (!this.geometry && looks.some(({ texture }) => texture)) return 1;
    const colours = this.geometry ? [GEOMETRY_COLOUR] : looks.map(({ colour }) => colour);
    return Math.min(1, BRIGHTEST / Math.max(BRIGHTEST, ...colours.flatMap((one) => one.slice(0, 3))));
  }

  frame() {
    if (!this.element) return;
    this.element.cameraOrbit = "28deg 76deg 105%";
    this.element.updateFraming();
  }
}

/** The dot about which a moved view turns. The element's own lies, unseen, in its middle, where it
 *  swallowed the press of whoever takes hold of the model right there. */
function panMark() {
  return Object.assign(document.createElement("span"), { slot: "pan-target", className: "pan-mark" });
}
