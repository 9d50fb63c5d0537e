// The model of the part explorer: one mesh, one draw call per material, drawn only when something
// has changed.
import * as THREE from "three";
import { OrbitControls } from "../vendor/three-0.183.2/OrbitControls.js";
import { edgesOf } from "./box-lines.js";
import * as shaders from "./part-shaders.js";
import { centreOf, jointBox } from "./part-surface.js";
import { drawsInSoftware } from "./software-drawing.js";

const FIELD_OF_VIEW = 32;
const MARGIN = 1.0;
const TURN = Math.PI / 12;
const CLOSER = 0.87;
const SPREAD = 0.7; // as in exploded.glb
const MAX_PIXEL_RATIO = 2;

function colours(look) {
  return new THREE.Color(look).toArray();
}

/** All primitives as one geometry, a group for each material. */
function joinPrimitives(primitives) {
  const count = primitives.reduce((sum, primitive) => sum + primitive.count, 0);
  const corners = primitives.reduce((sum, primitive) => sum + primitive.index.length, 0);
  const geometry = new THREE.BufferGeometry();
  const names = { POSITION: ["position", 3], NORMAL: ["normal", 3], TEXCOORD_0: ["uv", 2], COLOR_0: ["color", 4], _PATCH: ["piece", 1] };
  for (const [name, [to, width]] of Object.entries(names)) {
    if (!primitives.some(({ columns }) => columns[name])) continue;
    const values = new Float32Array(count * width).fill(name === "COLOR_0" ? 1 : 0);
    let row = 0;
    for (const primitive of primitives) {
      const column = primitive.columns[name];
      if (column?.width === width) values.set(column.values, row * width);
      else if (column) column.values.forEach((value, at) => (values[(row + Math.floor(at / 3)) * 4 + (at % 3)] = value));
      row += primitive.count;
    }
    geometry.setAttribute(to, new THREE.BufferAttribute(values, width));
  }
  const index = new Uint32Array(corners);
  let [vertex, corner] = [0, 0];
  primitives.forEach((primitive, number) => {
    for (let at = 0; at < primitive.index.length; at += 1) index[corner + at] = primitive.index[at] + vertex;
    geometry.addGroup(corner, primitive.index.length, number);
    corner += primitive.index.length;
    vertex += primitive.count;
  });
  geometry.setIndex(new THREE.BufferAttribute(index, 1));
  return geometry;
}

async function loadPicture(picture) {
  const blob = new Blob([picture.bytes], { type: picture.mime });
  const bitmap = await createImageBitmap(blob, { premultiplyAlpha: "none", colorSpaceConversion: "none" });
  const texture = new THREE.Texture(bitmap);
  texture.flipY = false;
  texture.colorSpace = THREE.SRGBColorSpace;
  texture.wrapS = texture.wrapT = THREE.RepeatWrapping;
  texture.anisotropy = 4;
  texture.generateMipmaps = true;
  texture.minFilter = THREE.LinearMipmapLinearFilter;
  texture.needsUpdate = true;
  return texture;
}

export class PartScene {
  /** Throws where WebGL is not to be had. */
  constructor(stage, { onDraw, onLost } = {}) {
    this.stage = stage;
    this.onDraw = onDraw;
    this.canvas = document.createElement("canvas");
    // smooth edges take a processor three times as long
    this.renderer = new THREE.WebGLRenderer({ canvas: this.canvas, alpha: true, antialias: !drawsInSoftware(), powerPreference: "high-performance" });
    this.renderer.setClearAlpha(0);
    this.canvas.setAttribute("aria-hidden", "true");
    stage.prepend(this.canvas);
    this.scene = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(FIELD_OF_VIEW, 1, 0.01, 100);
    this.controls = new OrbitControls(this.camera, this.canvas);
    this.controls.addEventListener("change", () => this.draw());
    this.canvas.style.touchAction = "pan-y";
    this.target = new THREE.WebGLRenderTarget(1, 1);
    this.shared = { looks: { value: null }, mode: { value: shaders.MODES.parts }, accent: { value: new THREE.Color("#7c3aed") }, lit: { value: new THREE.Color("#ffb300") }, ink: { value: new THREE.Color() } };
    this.spread = 0;
    new ResizeObserver(() => this.resize()).observe(stage);
    this.canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault(); // else it is not given back
      onLost?.(true);
    });
    this.canvas.addEventListener("webglcontextrestored", () => this.draw());
    if (onLost) this.canvas.addEventListener("webglcontextrestored", () => onLost(false));
    this.watchTheme();
  }

  async load(primitives, measured) {
    this.patchCount = measured.boxes.length;
    this.boxes = measured.boxes;
    this.centre = centreOf(jointBox(measured.boxes));
    const rows = 2 * Math.ceil(this.patchCount / shaders.COLUMNS);
    this.looks = new Float32Array(4 * shaders.COLUMNS * rows);
    this.shared.looks.value = new THREE.DataTexture(this.looks, shaders.COLUMNS, rows, THREE.RGBAFormat, THREE.FloatType);
    const geometry = joinPrimitives(primitives);
    const materials = await Promise.all(primitives.map((primitive) => this.material(primitive, geometry)));
    this.mesh = new THREE.Mesh(geometry, materials.length === 1 ? materials[0] : materials);
    this.mesh.frustumCulled = false; // parts move in the shader, beyond the box of the mesh
    this.scene.add(this.mesh);
    this.pickMaterial = this.shader(shaders.PICK_VERTEX, shaders.PICK_FRAGMENT, { side: THREE.DoubleSide, blending: THREE.NoBlending });
    this.resize();
  }

  shader(vertexShader, fragmentShader, options, uniforms = {}) {
    return new THREE.ShaderMaterial({ vertexShader, fragmentShader, uniforms: { ...this.shared, ...uniforms }, ...options });
  }

  async material({ material, columns }, geometry) {
    const picture = material.picture && columns.TEXCOORD_0 ? await loadPicture(material.picture) : null;
    const options = { side: THREE.DoubleSide, vertexColors: Boolean(geometry.attributes.color), polygonOffset: true, polygonOffsetFactor: 1, polygonOffsetUnits: 1 };
    return this.shader(shaders.SURFACE_VERTEX, shaders.SURFACE_FRAGMENT, options, {
      picture: { value: picture },
      has_picture: { value: Boolean(picture) },
      has_normals: { value: Boolean(columns.NORMAL) },
      base: { value: new THREE.Vector4(...material.color) },
    });
  }

  /** Show parts: each with `patches`, `color`, `box`, and marks by patch. */
  show(parts, marks) {
    this.parts = parts;
    for (const part of parts) {
      const middle = centreOf(part.box);
      const rgb = colours(part.color);
      const moved = middle.map((value, axis) => SPREAD * this.spread * (value - this.centre[axis]));
      part.moved = moved;
      for (const patch of part.patches) {
        const texel = 4 * ((patch % shaders.COLUMNS) + 2 * shaders.COLUMNS * Math.floor(patch / shaders.COLUMNS));
        this.looks.set([...rgb, marks(patch)], texel);
        this.looks.set(moved, texel + 4 * shaders.COLUMNS);
      }
    }
    this.shared.looks.value.needsUpdate = true;
    this.isShown = (part) => part.patches.some((patch) => marks(patch) & shaders.SHOWN);
    this.showBoxes(this.boxesOn);
    this.draw();
  }

  setMode(name) {
    this.shared.mode.value = shaders.MODES[name];
    this.draw();
  }

  showWireframe(on) {
    if (on && !this.wires) this.addWires();
    if (this.wires) this.wires.visible = on;
    this.draw();
  }

  addWires() {
    const { index, attributes } = this.mesh.geometry;
    const ends = new Uint32Array(2 * index.count);
    for (let face = 0; face < index.count; face += 3) {
      const [a, b, c] = [index.array[face], index.array[face + 1], index.array[face + 2]];
      ends.set([a, b, b, c, c, a], 2 * face);
    }
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", attributes.position);
    geometry.setAttribute("piece", attributes.piece);
    geometry.setIndex(new THREE.BufferAttribute(ends, 1));
    this.wires = new THREE.LineSegments(geometry, this.shader(shaders.LINE_VERTEX, shaders.LINE_FRAGMENT, { transparent: true }));
    this.wires.frustumCulled = false;
    this.scene.add(this.wires);
  }

  showBoxes(on) {
    this.boxesOn = on;
    if (this.boxLines) {
      this.scene.remove(this.boxLines);
      this.boxLines.geometry.dispose();
      this.boxLines = null;
    }
    if (!on) return;
    const geometry = edgesOf(this.parts.filter((one) => this.isShown(one)));
    this.boxMaterial ??= new THREE.LineBasicMaterial({ vertexColors: true });
    this.boxLines = new THREE.LineSegments(geometry, this.boxMaterial);
    this.scene.add(this.boxLines);
  }

  /** Look at all that is shown, from the side it is seen from. */
  frame(from) {
    const shown = this.parts.filter((part) => this.isShown(part));
    if (!shown.length) return;
    const box = jointBox(shown.map(({ box: own, moved }) => own.map((value, at) => value + moved[at % 3])));
    const radius = Math.hypot(...[0, 1, 2].map((axis) => box[axis + 3] - box[axis])) / 2 || 1;
    const narrow = Math.min(1, this.camera.aspect);
    const distance = (MARGIN * radius) / (Math.sin((FIELD_OF_VIEW / 360) * Math.PI) * narrow);
    const direction = from ?? this.camera.position.clone().sub(this.controls.target).normalize();
    this.controls.target.set(...centreOf(box));
    this.camera.position.copy(this.controls.target).addScaledVector(direction, distance);
    this.camera.near = distance / 100;
    this.camera.far = distance * 20;
    this.camera.updateProjectionMatrix();
    this.controls.update();
    this.draw();
  }

  frameFromFront() {
    this.frame(new THREE.Vector3(0.45, 0.3, 0.85).normalize());
  }

  /** Turn by steps around the model, or come closer by steps. */
  turn(right, up) {
    const offset = this.camera.position.clone().sub(this.controls.target);
    const place = new THREE.Spherical().setFromVector3(offset);
    place.theta += right * TURN;
    place.phi -= up * TURN;
    this.camera.position.copy(this.controls.target).add(offset.setFromSpherical(place.makeSafe()));
    this.controls.update();
    this.draw();
  }

  zoom(steps) {
    const offset = this.camera.position.clone().sub(this.controls.target).multiplyScalar(CLOSER ** steps);
    this.camera.position.copy(this.controls.target).add(offset);
    this.controls.update();
    this.draw();
  }

  /** The patch at a place of the window, or null; asks the graphics card. */
  async patchAt(clientX, clientY) {
    const box = this.canvas.getBoundingClientRect();
    const { renderer, camera, scene } = this;
    const [width, height] = [box.width, box.height];
    const lines = [this.wires, this.boxLines, this.overlay].filter((one) => one?.visible);
    lines.forEach((one) => (one.visible = false));
    camera.setViewOffset(width, height, clientX - box.left, clientY - box.top, 1, 1);
    scene.overrideMaterial = this.pickMaterial;
    renderer.setRenderTarget(this.target);
    renderer.clear();
    renderer.render(scene, camera);
    renderer.setRenderTarget(null);
    scene.overrideMaterial = null;
    camera.clearViewOffset();
    lines.forEach((one) => (one.visible = true));
    const pixel = new Uint8Array(4);
    await renderer.readRenderTargetPixelsAsync(this.target, 0, 0, 1, 1, pixel);
    return pixel[3] ? pixel[0] + 256 * pixel[1] - 1 : null;
  }

  watchTheme() {
    const read = () => {
      const style = getComputedStyle(this.stage);
      this.shared.ink.value.setStyle(style.color);
      this.draw();
    };
    read();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", read);
    new MutationObserver(read).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || !height) return;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, MAX_PIXEL_RATIO));
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    this.draw();
  }

  /** Draw once with the next frame, however often it is asked for. */
  draw() {
    if (this.asked || !this.mesh) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.renderer.render(this.scene, this.camera);
      this.onDraw?.();
    });
  }
}
