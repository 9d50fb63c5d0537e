// The point of the surface under a place of the window.
import * as THREE from "three";

/** Where a ray first meets a patch, as if nothing was moved apart; [x, y, z] or null. */
function pointOn({ parts, mesh }, ray, patch) {
  const { moved } = parts.find(({ patches }) => patches.includes(patch));
  ray.origin.sub(new THREE.Vector3(...moved));
  const { index, attributes } = mesh.geometry;
  const [a, b, c, found] = [0, 1, 2, 3].map(() => new THREE.Vector3());
  let [nearest, point] = [Infinity, null];
  for (let corner = 0; corner < index.count; corner += 3) {
    if (attributes.piece.array[index.array[corner]] !== patch) continue;
    [a, b, c].forEach((one, at) => one.fromBufferAttribute(attributes.position, index.array[corner + at]));
    if (!ray.intersectTriangle(a, b, c, false, found)) continue;
    const distance = found.distanceTo(ray.origin);
    if (distance < nearest) [nearest, point] = [distance, found.toArray()];
  }
  return point;
}

/** The point of a scene's surface at a place of the window, or null; asks the graphics card. */
export async function pointAt(scene, clientX, clientY) {
  const { left, top, width, height } = scene.canvas.getBoundingClientRect();
  const [right, down] = [Math.floor(clientX - left), Math.floor(clientY - top)]; // a pixel: its middle counts
  const ray = new THREE.Ray(scene.camera.position.clone());
  ray.direction.set((2 * right + 1) / width - 1, 1 - (2 * down + 1) / height, 0.5);
  ray.direction.unproject(scene.camera).sub(ray.origin).normalize();
  const patch = await scene.patchAt(left + right, top + down);
  return patch === null ? null : pointOn(scene, ray, patch);
}
