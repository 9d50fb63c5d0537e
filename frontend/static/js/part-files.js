// Writes chosen parts as a file, in the browser: GLB with texture, or STL for printing.

const KINDS = { 1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4" };

/** The corners of some faces of a primitive, renumbered without gaps, and the vertices they use. */
function chosenFaces(primitive, isChosen) {
  const { index, columns, count } = primitive;
  const patches = columns._PATCH.values;
  const numbers = new Int32Array(count).fill(-1);
  const used = [];
  const corners = [];
  for (let face = 0; face < index.length; face += 3) {
    if (!isChosen(patches[index[face]])) continue;
    for (let corner = face; corner < face + 3; corner += 1) {
      const vertex = index[corner];
      if (numbers[vertex] < 0) numbers[vertex] = used.push(vertex) - 1;
      corners.push(numbers[vertex]);
    }
  }
  return { used, corners };
}

function picked({ values, width }, used) {
  const taken = new Float32Array(used.length * width);
  used.forEach((vertex, row) => {
    for (let at = 0; at < width; at += 1) taken[row * width + at] = values[vertex * width + at];
  });
  return taken;
}

class GlbWriter {
  constructor() {
    this.document = {
      asset: { version: "2.0", generator: "Meshkiln" },
      scene: 0,
      scenes: [{ nodes: [] }],
      nodes: [],
      meshes: [],
      materials: [],
      accessors: [],
      bufferViews: [],
    };
    this.pieces = [];
    this.length = 0;
    this.known = new Map();
  }

  addBytes(bytes) {
    const padding = (4 - (bytes.byteLength % 4)) % 4;
    this.document.bufferViews.push({ buffer: 0, byteOffset: this.length, byteLength: bytes.byteLength });
    this.pieces.push(bytes, new Uint8Array(padding));
    this.length += bytes.byteLength + padding;
    return this.document.bufferViews.length - 1;
  }

  addColumn(values, width, bounds = {}) {
    const bufferView = this.addBytes(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    const componentType = values instanceof Uint32Array ? 5125 : 5126;
    this.document.accessors.push({ bufferView, componentType, count: values.length / width, type: KINDS[width], ...bounds });
    return this.document.accessors.length - 1;
  }

  addMaterial(material) {
    if (this.known.has(material)) return this.known.get(material);
    const written = structuredClone(material.document);
    delete written.extensions;
    for (const name of ["normalTexture", "occlusionTexture", "emissiveTexture"]) delete written[name];
    const surface = written.pbrMetallicRoughness ?? {};
    delete surface.metallicRoughnessTexture;
    if (material.picture) {
      this.document.images ??= [];
      this.document.textures ??= [];
      this.document.images.push({ bufferView: this.addBytes(material.picture.bytes), mimeType: material.picture.mime });
      surface.baseColorTexture = { index: this.document.textures.push({ source: this.document.images.length - 1 }) - 1 };
    }
    this.known.set(material, this.document.materials.push(written) - 1);
    return this.known.get(material);
  }

  addPart(name, primitives, isChosen) {
    const written = [];
    for (const primitive of primitives) {
      const { used, corners } = chosenFaces(primitive, isChosen);
      if (!corners.length) continue;
      const attributes = {};
      for (const [kind, column] of Object.entries(primitive.columns)) {
        if (kind === "_PATCH") continue;
        const values = picked(column, used);
        attributes[kind] = this.addColumn(values, column.width, kind === "POSITION" ? bounds(values) : {});
      }
      const indices = this.addColumn(Uint32Array.from(corners), 1);
      written.push({ attributes, indices, material: this.addMaterial(primitive.material) });
    }
    const mesh = this.document.meshes.push({ name, primitives: written }) - 1;
    this.document.scenes[0].nodes.push(this.document.nodes.push({ name, mesh }) - 1);
  }

  toBlob() {
    this.document.buffers = [{ byteLength: this.length }];
    const text = new TextEncoder().encode(JSON.stringify(this.document));
    const json = new Uint8Array(Math.ceil(text.length / 4) * 4).fill(32);
    json.set(text);
    const head = new DataView(new ArrayBuffer(20));
    const words = [0x46546c67, 2, 28 + json.length + this.length, json.length, 0x4e4f534a];
    words.forEach((word, at) => head.setUint32(4 * at, word, true));
    const chunk = new DataView(new ArrayBuffer(8));
    chunk.setUint32(0, this.length, true);
    chunk.setUint32(4, 0x004e4942, true);
    return new Blob([head, json, chunk, ...this.pieces], { type: "model/gltf-binary" });
  }
}

function bounds(positions) {
  const min = [Infinity, Infinity, Infinity];
  const max = [-Infinity, -Infinity, -Infinity];
  positions.forEach((value, at) => {
    min[at % 3] = Math.min(min[at % 3], value);
    max[at % 3] = Math.max(max[at % 3], value);
  });
  return { min, max };
}

/** A GLB of some parts, each its own node; `parts` have a name and patches. */
export function partsToGlb(primitives, parts) {
  const writer = new GlbWriter();
  for (const { name, patches } of parts) {
    const chosen = new Set(patches);
    writer.addPart(name, primitives, (patch) => chosen.has(patch));
  }
  return writer.toBlob();
}

/** A binary STL of some parts together: 80 bytes, a count, then normal and corners of each face. */
export function partsToStl(primitives, parts) {
  const chosen = new Set(parts.flatMap(({ patches }) => patches));
  const triangles = primitives.map((primitive) => {
    const { used, corners } = chosenFaces(primitive, (patch) => chosen.has(patch));
    return { at: picked(primitive.columns.POSITION, used), corners };
  });
  const count = triangles.reduce((sum, { corners }) => sum + corners.length / 3, 0);
  const file = new DataView(new ArrayBuffer(84 + 50 * count));
  file.setUint32(80, count, true);
  let byte = 84;
  for (const { at, corners } of triangles) {
    for (let face = 0; face < corners.length; face += 3) {
      byte += 12; // a normal of zero: the reader takes it from the corners
      for (let corner = face; corner < face + 3; corner += 1) {
        for (let axis = 0; axis < 3; axis += 1, byte += 4) file.setFloat32(byte, at[3 * corners[corner] + axis], true);
      }
      byte += 2;
    }
  }
  return new Blob([file], { type: "model/stl" });
}

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
