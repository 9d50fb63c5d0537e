// What the buttons and fields of the part explorer say, and which of them can be used.
import { several } from "./part-words.js";

const SLIDER_MOST = 64;

/** Links to the files that the job itself made of a part, closed ones where it closes parts. */
function showFiles(the, { files, notice }) {
  const links = files.map(({ url, name }) => Object.assign(document.createElement("a"), { href: url, textContent: name, download: name }));
  the.files.replaceChildren("As the job made it: ", ...links.flatMap((link) => [link, " "]), notice ?? "");
  the.files.hidden = !links.length;
}

/** Why no part can be split now. */
export function whyNoSplit({ list, parts, division }) {
  const { chosen } = list;
  if (chosen.length !== 1) return "choose one part to split it";
  const { name } = parts[chosen[0]];
  return division.canSplit(chosen[0]) ? "" : `${name} is a single patch and cannot be split`;
}

/** Which version is shown, what was changed about it, and what saving an older one does. */
function shownVersion({ opened, kept }, changes) {
  const isOlder = opened.version !== kept.version;
  const unsaved = changes ? `, ${changes === 1 ? "1 change" : `${changes} changes`} not saved` : "";
  const next = isOlder ? `. Saving makes it version ${kept.version + 1}.` : "";
  return `Version ${opened.version}${isOlder ? ` of ${kept.version}` : ""}${unsaved}${next}`;
}

export function showControls(explorer) {
  const { the, buttons, division, editing, keeping, kept, parts } = explorer;
  const chosen = explorer.list.chosen;
  const most = division.patchCount;
  the.slider.min = the.number.min = division.fewest;
  the.slider.max = division.count > SLIDER_MOST ? most : Math.min(most, SLIDER_MOST);
  the.number.max = most;
  the.slider.value = the.number.value = division.count;
  the.slider.setAttribute("aria-valuetext", several(division.count));
  the.slider.disabled = the.number.disabled = division.fewest === most;
  const { suggested } = kept.granularity;
  const isGiven = suggested === most && division.merges.every(({ byHand }) => byHand);
  the.suggestion.textContent = isGiven
    ? `${suggested} parts were given with the mesh; they can be merged, not split.`
    : `${suggested} as the engine chose; ${division.fewest} to ${most} are possible.`;
  buttons.isolate.disabled = buttons.hide.disabled = chosen.length === 0;
  const allHidden = chosen.length > 0 && chosen.every((index) => parts[index].isHidden);
  buttons.hide.textContent = allHidden ? "Show" : "Hide";
  buttons.showAll.disabled = !explorer.unseen.some(Boolean);
  buttons.merge.disabled = chosen.length < 2;
  buttons.split.disabled = chosen.length !== 1 || !division.canSplit(chosen[0]);
  buttons.split.title = buttons.split.disabled ? whyNoSplit(explorer) : "s";
  buttons.rename.disabled = chosen.length !== 1;
  buttons.undo.disabled = !editing.canUndo;
  buttons.redo.disabled = !editing.canRedo;
  buttons.save.disabled = editing.unsaved.length === 0 || Boolean(keeping.isSaving);
  the.downloadHint.textContent = chosen.length ? `${several(chosen.length)} chosen` : "all that is shown";
  showFiles(the, chosen.length === 1 ? parts[chosen[0]] : { files: [] });
  const changes = editing.changes.length;
  if (buttons.close) {
    buttons.close.disabled = changes > 0 || Boolean(keeping.isClosing);
    the.closeHint.textContent = changes ? "save first: it takes the saved version" : "a new job, for printing";
  }
  the.version.textContent = shownVersion(explorer, changes);
}
