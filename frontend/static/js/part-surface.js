// Reads surface.glb, which Meshkiln wrote itself: indexed triangles, one primitive per material,
// the patch of each vertex in _PATCH, pictures inside the file, no extensions.

const GLB = 0x46546c67;
const COLUMNS = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4 };
const NUMBERS = {
  5120: [Int8Array, 127],
  5121: [Uint8Array, 255],
  5122: [Int16Array, 32767],
  5123: [Uint16Array, 65535],
  5125: [Uint32Array, 4294967295],
  5126: [Float32Array, 1],
};

function readChunks(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 20 || view.getUint32(0, true) !== GLB) throw new Error("This is not a GLB file.");
  const length = view.getUint32(12, true);
  const json = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 20, length)));
  return { json, binaryAt: 20 + length + 8 };
}

function readAccessor({ json, binaryAt }, buffer, number) {
  const accessor = json.accessors[number];
  const view = json.bufferViews[accessor.bufferView];
  const [Numbers, largest] = NUMBERS[accessor.componentType];
  const width = COLUMNS[accessor.type];
  const start = binaryAt + (view.byteOffset ?? 0) + (accessor.byteOffset ?? 0);
  const stride = view.byteStride ?? width * Numbers.BYTES_PER_ELEMENT;
  let values;
  if (stride === width * Numbers.BYTES_PER_ELEMENT && start % Numbers.BYTES_PER_ELEMENT === 0) {
    values = new Numbers(buffer, start, accessor.count * width);
  } else {
    values = new Numbers(accessor.count * width);
    for (let row = 0; row < accessor.count; row += 1) {
      const bytes = buffer.slice(start + row * stride, start + row * stride + width * Numbers.BYTES_PER_ELEMENT);
      values.set(new Numbers(bytes), row * width);
    }
  }
  if (!accessor.normalized) return { values, width };
  return { values: Float32Array.from(values, (value) => Math.max(value / largest, -1)), width };
}

function readMaterial({ json, binaryAt }, buffer, number) {
  const found = json.materials?.[number] ?? {};
  const surface = found.pbrMetallicRoughness ?? {};
  const texture = json.textures?.[surface.baseColorTexture?.index];
  const image = json.images?.[texture?.source];
  const view = json.bufferViews[image?.bufferView];
  return {
    name: found.name ?? "material",
    color: surface.baseColorFactor ?? [1, 1, 1, 1],
    document: found,
    picture: view && {
      mime: image.mimeType,
      bytes: new Uint8Array(buffer, binaryAt + (view.byteOffset ?? 0), view.byteLength),
    },
  };
}

/** One primitive: typed arrays by attribute, triangle corners, material. */
function readPrimitive(file, buffer, primitive) {
  const columns = {};
  for (const [name, number] of Object.entries(primitive.attributes)) {
    columns[name] = readAccessor(file, buffer, number);
  }
  const count = columns.POSITION.values.length / 3;
  const index =
    primitive.indices === undefined
      ? Uint32Array.from({ length: count }, (_, at) => at)
      : Uint32Array.from(readAccessor(file, buffer, primitive.indices).values);
  return { columns, count, index, material: readMaterial(file, buffer, primitive.material) };
}

export function readSurface(buffer) {
  const file = readChunks(buffer);
  const primitives = file.json.meshes.flatMap((mesh) => mesh.primitives);
  if (!primitives.every((primitive) => "_PATCH" in primitive.attributes)) {
    throw new Error("This file does not tell the patches of the surface.");
  }
  return primitives.map((primitive) => readPrimitive(file, buffer, primitive));
}

/** Faces, area and box of each patch. */
export function measurePatches(primitives, patchCount) {
  const faces = new Uint32Array(patchCount);
  const areas = new Float64Array(patchCount);
  const boxes = Array.from({ length: patchCount }, () => [1, 1, 1, -1, -1, -1].map((side) => side * Infinity));
  for (const { columns, index } of primitives) {
    const at = columns.POSITION.values;
    const patches = columns._PATCH.values;
    for (let corner = 0; corner < patches.length; corner += 1) {
      const box = boxes[patches[corner]];
      for (let axis = 0; axis < 3; axis += 1) {
        const value = at[3 * corner + axis];
        if (value < box[axis]) box[axis] = value;
        if (value > box[axis + 3]) box[axis + 3] = value;
      }
    }
    for (let face = 0; face < index.length; face += 3) {
      const [a, b, c] = [3 * index[face], 3 * index[face + 1], 3 * index[face + 2]];
      const [ux, uy, uz] = [at[b] - at[a], at[b + 1] - at[a + 1], at[b + 2] - at[a + 2]];
      const [vx, vy, vz] = [at[c] - at[a], at[c + 1] - at[a + 1], at[c + 2] - at[a + 2]];
      const patch = patches[index[face]];
      faces[patch] += 1;
      areas[patch] += Math.hypot(uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx) / 2;
    }
  }
  return { faces, areas, boxes };
}

export function jointBox(boxes) {
  const joint = [1, 1, 1, -1, -1, -1].map((side) => side * Infinity);
  for (const box of boxes) {
    for (let axis = 0; axis < 3; axis += 1) {
      joint[axis] = Math.min(joint[axis], box[axis]);
      joint[axis + 3] = Math.max(joint[axis + 3], box[axis + 3]);
    }
  }
  return joint;
}

export function centreOf(box) {
  return [0, 1, 2].map((axis) => (box[axis] + box[axis + 3]) / 2);
}
