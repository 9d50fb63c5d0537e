// The page of one cut-out: starts the editor once the mask is found, sends what was painted.
import { attachMask, startEditor } from "./mask-editor.js";

async function start() {
  const editor = await startEditor(document.getElementById("cutout"));
  if (!editor) return;
  const form = document.getElementById("cutout-form");
  form.addEventListener("submit", async (event) => {
    const input = form.elements.mask;
    if (!editor.changed || input.files.length) return;
    event.preventDefault();
    await attachMask(editor, input);
    form.submit();
  });
}

start();
document.addEventListener("htmx:after:swap", start);
