// What only the network of textures heeds is shown, and sent, only where it may run.
const WITHOUT_NETWORK = "projection";
const OF_NETWORK = ["texture_model", "texture_steps", "texture_guidance", "texture_views", "view_px", "delight", "upscale"];

/** A form with a group of such fields; `prefix` tells the forms of one page apart. */
export function showPaintFields(prefix) {
  const group = document.getElementById(`${prefix}-network`);
  const engine = document.getElementById(`${prefix}-p-engine`).value;
  const shown = group.dataset.available === "true" && engine !== WITHOUT_NETWORK;
  group.hidden = !shown;
  group.disabled = !shown;
}

/** A form where they stand among others: they cannot be filled in. */
export function allowPaintFields(form) {
  const isPlain = form.elements.texture_engine.value === WITHOUT_NETWORK;
  for (const name of OF_NETWORK) form.elements[name].disabled = isPlain;
}
