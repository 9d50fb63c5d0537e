// A shared model: the viewer alone.
import { Viewer } from "./viewer.js";

const root = document.getElementById("viewer");
const viewer = new Viewer(root);

document.getElementById("show-appearance").addEventListener("click", () => viewer.showGeometry(false));
document.getElementById("show-geometry").addEventListener("click", () => viewer.showGeometry(true));
document.getElementById("frame").addEventListener("click", () => viewer.frame());
viewer.show(root.dataset.model, root.dataset.poster);
