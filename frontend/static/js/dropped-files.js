// Files dropped anywhere on the page; an overlay says so while they hover.

function hasFiles(event) {
  return [...(event.dataTransfer?.types ?? [])].includes("Files");
}

/** Call `take` with the files of each drop, as an array. */
export function takeDroppedFiles(take) {
  const overlay = document.getElementById("drop-overlay");
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    overlay.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) overlay.hidden = true;
  });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    overlay.hidden = true;
    take([...event.dataTransfer.files]);
  });
}
