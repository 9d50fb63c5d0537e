// Boxes as lines in a scene of three.js.
import * as THREE from "three";

const EDGES = [0, 1, 1, 3, 3, 2, 2, 0, 4, 5, 5, 7, 7, 6, 6, 4, 0, 4, 1, 5, 2, 6, 3, 7];
const STILL = [0, 0, 0];
const FILL = 0.16;
const BEHIND = 0.35;

/** The edges of boxes: each has `box`, `color`, and perhaps `moved`. */
export function edgesOf(boxes) {
  const [places, inks] = [[], []];
  for (const { box, color, moved = STILL } of boxes) {
    const rgb = new THREE.Color(color).toArray();
    for (const corner of EDGES) {
      for (let axis = 0; axis < 3; axis += 1) {
        const side = (corner >> axis) & 1 ? axis + 3 : axis;
        places.push(box[side] + moved[axis]);
      }
      inks.push(...rgb);
    }
  }
  const geometry = new THREE.BufferGeometry();
  geometry.setAttribute("position", new THREE.Float32BufferAttribute(places, 3));
  geometry.setAttribute("color", new THREE.Float32BufferAttribute(inks, 3));
  return geometry;
}

/** Boxes that can be edited: seen through the model too, the chosen one filled. */
export class BoxFrames {
  constructor(partScene) {
    this.partScene = partScene;
    this.group = new THREE.Group();
    this.front = this.lines({ vertexColors: true });
    this.back = this.lines({ vertexColors: true, transparent: true, opacity: BEHIND, depthTest: false });
    const look = { transparent: true, opacity: FILL, depthWrite: false, side: THREE.DoubleSide };
    this.fill = new THREE.Mesh(new THREE.BoxGeometry(1, 1, 1), new THREE.MeshBasicMaterial(look));
    this.rim = this.lines({ vertexColors: true, depthTest: false });
    this.group.add(this.fill, this.rim);
    partScene.scene.add(this.group);
    partScene.overlay = this.group; // what is under the pointer is asked without it
  }

  lines(look) {
    const made = new THREE.LineSegments(new THREE.BufferGeometry(), new THREE.LineBasicMaterial(look));
    made.frustumCulled = false;
    this.group.add(made);
    return made;
  }

  show(boxes, chosen) {
    this.replace([this.front, this.back], edgesOf(boxes));
    const one = boxes[chosen];
    this.replace([this.rim], edgesOf(one ? [one] : []));
    this.fill.visible = Boolean(one);
    if (one) {
      const { box } = one;
      this.fill.position.set(...[0, 1, 2].map((axis) => (box[axis] + box[axis + 3]) / 2));
      this.fill.scale.set(...[0, 1, 2].map((axis) => Math.abs(box[axis + 3] - box[axis]) || 1e-9));
      this.fill.material.color.set(one.color);
    }
    this.group.visible = true;
    this.partScene.draw();
  }

  replace(many, geometry) {
    many[0].geometry.dispose();
    for (const one of many) one.geometry = geometry;
  }

  hide() {
    this.group.visible = false;
    this.partScene.draw();
  }
}
