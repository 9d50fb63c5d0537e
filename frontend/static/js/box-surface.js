// What of a surface lies in which box.
export { centreOf, jointBox } from "./part-surface.js";

const MOST_TESTS = 60e6; // about a quarter of a second

export function isInBox(x, y, z, box) {
  return x >= box[0] && x <= box[3] && y >= box[1] && y <= box[4] && z >= box[2] && z <= box[5];
}

/** Whether any vertex lies in a box; the network starts from the faces at such vertices. */
export function holdsPoint(primitives, box) {
  return primitives.some(({ columns }) => {
    const at = columns.POSITION.values;
    for (let place = 0; place < at.length; place += 3) {
      if (isInBox(at[place], at[place + 1], at[place + 2], box)) return true;
    }
    return false;
  });
}

/** How many faces have their centre in no box, and how many there are; null where that takes long. */
export function facesInNone(primitives, boxes) {
  const faces = primitives.reduce((sum, { index }) => sum + index.length / 3, 0);
  if (faces * boxes.length > MOST_TESTS) return null;
  let free = 0;
  for (const { columns, index } of primitives) {
    const at = columns.POSITION.values;
    for (let corner = 0; corner < index.length; corner += 3) {
      const [a, b, c] = [3 * index[corner], 3 * index[corner + 1], 3 * index[corner + 2]];
      const [x, y, z] = [(at[a] + at[b] + at[c]) / 3, (at[a + 1] + at[b + 1] + at[c + 1]) / 3, (at[a + 2] + at[b + 2] + at[c + 2]) / 3];
      if (!boxes.some(({ box }) => isInBox(x, y, z, box))) free += 1;
    }
  }
  return { free, faces };
}

function volumeOf(box) {
  return (box[3] - box[0]) * (box[4] - box[1]) * (box[5] - box[2]);
}

/** The smallest of the boxes for which something holds, or -1. */
export function smallestBox(boxes, holds) {
  let [found, least] = [-1, Infinity];
  boxes.forEach(({ box }, index) => {
    if (volumeOf(box) >= least || !holds(box)) return;
    [found, least] = [index, volumeOf(box)];
  });
  return found;
}
