// Edits by hand in the part explorer: count, merge, split, rename, undo, redo.
import { several } from "./part-words.js";

export class PartEdits {
  constructor(explorer) {
    this.explorer = explorer;
    const { renameForm, renameField } = explorer.the;
    renameForm.addEventListener("submit", (event) => this.renameNow(event));
    renameField.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.leaveRename();
      event.stopPropagation();
    });
  }

  /** Show another count while somebody drags; it is no edit yet. */
  preview(count) {
    const { explorer } = this;
    explorer.previewed = explorer.editing.division.withCount(count);
    explorer.pointed = null;
    explorer.showParts();
  }

  setCount(wanted) {
    const { explorer } = this;
    explorer.previewed = null;
    const { division } = explorer.editing;
    const count = Math.min(Math.max(Math.round(wanted) || division.count, division.fewest), division.patchCount);
    if (count === division.count) explorer.showParts();
    else this.add({ count }, several(count));
  }

  add(edit, told) {
    const { explorer } = this;
    explorer.editing.add(edit);
    explorer.pointed = null;
    explorer.showParts();
    explorer.tell(told);
  }

  merge() {
    const { explorer } = this;
    const indices = explorer.list.chosen;
    const patches = explorer.chosenPatches();
    const names = indices.map((index) => explorer.parts[index].name);
    patches.forEach((patch) => (explorer.unseen[patch] = 0));
    this.add({ merge: indices }, `${names.join(" and ")} merged: ${several(explorer.division.count - indices.length + 1)}`);
    explorer.choosePatches(patches);
  }

  split() {
    const { explorer } = this;
    const [index] = explorer.list.chosen;
    const { name, patches } = explorer.parts[index];
    this.add({ split: index }, `${name} split: ${several(explorer.division.count + 1)}`);
    explorer.choosePatches(patches);
  }

  rename() {
    const { the, list, parts } = this.explorer;
    const { name, patches } = parts[list.chosen[0]];
    this.renamed = patches.join(); // somebody may choose another part, or edit, before it is named
    the.renameForm.hidden = false;
    the.renameLabel.textContent = `New name of ${name}`;
    the.renameField.value = name;
    the.renameField.focus();
    the.renameField.select();
  }

  renameNow(event) {
    event.preventDefault();
    const { the, parts, editing } = this.explorer;
    const index = parts.findIndex(({ patches }) => patches.join() === this.renamed);
    const name = the.renameField.value.trim();
    if (index < 0) {
      this.explorer.tell("that part is no longer there");
    } else if (editing.division.renamed({ [index]: name }).nameOf(index) !== parts[index].name) {
      this.add({ rename: { [index]: name } }, name ? `renamed to ${name}` : "name taken away");
    }
    this.leaveRename();
  }

  leaveRename() {
    const { the, list } = this.explorer;
    the.renameForm.hidden = true;
    list.activate(list.active);
  }

  undo() {
    const { explorer } = this;
    const [kind] = Object.keys(explorer.editing.undo());
    explorer.showParts();
    explorer.tell(`undone: ${kind}; ${several(explorer.division.count)}`);
  }

  redo() {
    const { explorer } = this;
    const [kind] = Object.keys(explorer.editing.redo());
    explorer.showParts();
    explorer.tell(`done again: ${kind}; ${several(explorer.division.count)}`);
  }
}
