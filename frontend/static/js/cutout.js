// Starts the mask editor once the mask has been found.
import { startEditor } from "./mask-editor.js";

startEditor(document.getElementById("cutout"));
document.addEventListener("htmx:after:swap", () => startEditor(document.getElementById("cutout")));
