// How a surface is divided into parts, and what an edit changes about that: the same rules as
// backend/jobs/parts/division.py, so that the page answers while somebody drags. A browser test
// compares both.

function root(roots, patch) {
  let at = patch;
  while (roots[at] !== at) {
    roots[at] = roots[roots[at]];
    at = roots[at];
  }
  return at;
}

/** Do merges in order until `count` parts are left; the root of a part is its first patch. */
function join(patchCount, merges, count) {
  const roots = Int32Array.from({ length: patchCount }, (_, patch) => patch);
  const done = [];
  for (const [position, merge] of merges.entries()) {
    if (patchCount - done.length <= count) break;
    const first = root(roots, merge.first);
    const second = root(roots, merge.second);
    if (first === second) continue;
    roots[Math.max(first, second)] = Math.min(first, second);
    done.push(position);
  }
  for (let patch = 0; patch < patchCount; patch += 1) roots[patch] = root(roots, patch);
  return { roots, done };
}

function without(merges, positions) {
  const leftOut = new Set(positions);
  return merges.filter((_, at) => !leftOut.has(at));
}

/** What joins some of the patches that merges join; the others are stepped over. */
function among(patchCount, merges, patches) {
  const roots = Int32Array.from({ length: patchCount }, (_, patch) => patch);
  const standing = new Map([...patches].map((patch) => [patch, patch]));
  const kept = [];
  for (const { first, second, byHand } of merges) {
    const [at, other] = [root(roots, first), root(roots, second)];
    roots[other] = at;
    const [mine, theirs] = [standing.get(at), standing.get(other)];
    standing.delete(other);
    if (mine !== undefined && theirs !== undefined) {
      kept.push({ first: patches.has(first) ? first : mine, second: patches.has(second) ? second : theirs, byHand });
    } else if (theirs !== undefined) {
      standing.set(at, theirs);
    }
  }
  return kept;
}

export class Division {
  constructor(patchCount, merges, count, names = []) {
    this.patchCount = patchCount;
    this.merges = merges;
    this.count = count;
    this.names = names;
    this.joined = join(patchCount, merges, count);
    const numbers = new Map();
    this.patchParts = Array.from(this.joined.roots, (at) => {
      if (!numbers.has(at)) numbers.set(at, numbers.size);
      return numbers.get(at);
    });
    this.parts = Array.from({ length: numbers.size }, () => []);
    this.patchParts.forEach((part, patch) => this.parts[part].push(patch));
  }

  /** Read part_tree.json. */
  static read(tree) {
    const sizes = [...(tree.patches?.faces ?? new Array(tree.patch_count).fill(1))];
    const leaders = Array.from({ length: tree.patch_count }, (_, patch) => patch);
    const merges = [];
    for (const [first, second] of tree.merges) {
      merges.push({ first: leaders[first], second: leaders[second], byHand: false });
      leaders.push(leaders[sizes[first] >= sizes[second] ? first : second]);
      sizes.push(sizes[first] + sizes[second]);
    }
    const fewest = new Division(tree.patch_count, merges, tree.patch_count).fewest;
    const wanted = tree.count || tree.suggested;
    return new Division(tree.patch_count, merges, Math.min(Math.max(wanted, fewest), tree.patch_count));
  }

  get fewest() {
    this.least ??= this.patchCount - join(this.patchCount, this.merges, 1).done.length;
    return this.least;
  }

  nameOf(index) {
    const given = this.names.filter(([patch]) => this.patchParts[patch] === index).at(-1);
    return given ? given[1] : `part_${String(index).padStart(2, "0")}`;
  }

  withCount(count) {
    return new Division(this.patchCount, this.merges, count, this.names);
  }

  merged(indices) {
    const wanted = [...new Set(indices)].sort((a, b) => a - b);
    const inside = this.joined.done.filter((at) => wanted.includes(this.patchParts[this.merges[at].first]));
    const first = this.parts[wanted[0]][0];
    const byHand = wanted.slice(1).map((index) => ({ first, second: this.parts[index][0], byHand: true }));
    const merges = [...inside.map((at) => this.merges[at]), ...byHand, ...without(this.merges, inside)];
    return new Division(this.patchCount, merges, this.count - byHand.length, this.names);
  }

  canSplit(index) {
    return this.parts[index].length > 1;
  }

  split(index) {
    const own = this.joined.done.filter((at) => this.patchParts[this.merges[at].first] === index);
    const last = own.at(-1);
    const sides = join(this.patchCount, own.slice(0, -1).map((at) => this.merges[at]), 1).roots;
    const crossing = this.merges.flatMap(({ first, second }, at) => {
      const isInside = this.patchParts[first] === index && this.patchParts[second] === index;
      return at !== last && isInside && sides[first] !== sides[second] ? [at] : [];
    });
    const apart = [last, ...crossing];
    const moved = apart.map((at) => this.merges[at]).filter((merge) => !merge.byHand);
    const merges = [...without(this.merges, apart), ...moved];
    return new Division(this.patchCount, merges, this.count + 1, this.names);
  }

  /** Whether patches could be a part of their own: there are some, and they are none already. */
  canTake(patches) {
    const part = this.parts[this.patchParts[patches[0]]];
    return patches.length > 0 && (part.length !== patches.length || patches.some((patch) => !part.includes(patch)));
  }

  /** Make patches a part of their own, whatever parts they are in. */
  taken(patches) {
    const chosen = new Set(patches);
    const touched = new Set(patches.map((patch) => this.patchParts[patch]));
    const own = this.joined.done.filter((at) => touched.has(this.patchParts[this.merges[at].first]));
    const inside = own.map((at) => this.merges[at]);
    const rests = [...touched].map((part) => this.parts[part].filter((patch) => !chosen.has(patch)));
    const kept = [...among(this.patchCount, inside, new Set(rests.flat())), ...among(this.patchCount, inside, chosen)];
    const { roots } = join(this.patchCount, kept, 1);
    const [first, ...others] = [...new Set(patches.map((patch) => roots[patch]))].sort((a, b) => a - b);
    const byHand = others.map((second) => ({ first, second, byHand: true }));
    const crossing = this.merges.flatMap((merge, at) => {
      const isInside = this.patchParts[merge.first] === this.patchParts[merge.second];
      return isInside && chosen.has(merge.first) !== chosen.has(merge.second) ? [at] : [];
    });
    const moved = crossing.map((at) => this.merges[at]).filter((merge) => !merge.byHand);
    const merges = [...kept, ...byHand, ...without(this.merges, [...own, ...crossing]), ...moved];
    const swallowed = rests.filter((rest) => rest.length === 0).length;
    const names = this.names.map(([patch, name]) => [this.staying(patch, chosen), name]);
    return new Division(this.patchCount, merges, this.count + 1 - swallowed, names);
  }

  /** The patch by which a part keeps its name while others are taken from it. */
  staying(patch, chosen) {
    if (!chosen.has(patch)) return patch;
    return this.parts[this.patchParts[patch]].find((at) => !chosen.has(at)) ?? patch;
  }

  renamed(names) {
    const chosen = new Set(Object.keys(names).map(Number));
    const kept = this.names.filter(([patch]) => !chosen.has(this.patchParts[patch]));
    const given = [...chosen].filter((index) => names[index]).map((index) => [this.parts[index][0], names[index]]);
    return new Division(this.patchCount, this.merges, this.count, [...kept, ...given]);
  }

  after(edit) {
    if ("count" in edit) return this.withCount(edit.count);
    if ("merge" in edit) return this.merged(edit.merge);
    if ("split" in edit) return this.split(edit.split);
    if ("part" in edit) return this.taken(edit.part);
    return this.renamed(edit.rename);
  }
}

function areSame(edit, other) {
  return JSON.stringify(edit) === JSON.stringify(other);
}

/** The edits of a division with undo and redo, beside those that the server keeps. */
export class Editing {
  constructor(division, edits, done) {
    this.start = division;
    this.restart(edits, done);
  }

  /** Begin with a version, which from now on is both the one that is shown and the newest. */
  restart(edits, done) {
    this.edits = [...edits];
    this.divisions = [this.start];
    for (const edit of edits.slice(0, done)) this.divisions.push(this.division.after(edit));
    this.follow(edits, done);
  }

  /** Take other edits as those that the server keeps, and leave what is shown here as it is. */
  follow(edits, done) {
    this.saved = this.opened = { edits: [...edits], done };
  }

  /** Show an older version; it can be the base of a new one, after the newest. */
  open(edits, done) {
    const { saved } = this;
    this.restart(edits, done);
    this.saved = saved;
  }

  get division() {
    return this.divisions.at(-1);
  }

  get done() {
    return this.divisions.length - 1;
  }

  get canUndo() {
    return this.done > 0;
  }

  get canRedo() {
    return this.done < this.edits.length;
  }

  add(edit) {
    this.divisions.push(this.division.after(edit));
    this.edits.splice(this.done - 1, Infinity, edit);
  }

  undo() {
    this.divisions.pop();
    return this.edits[this.done];
  }

  redo() {
    const edit = this.edits[this.done];
    this.divisions.push(this.division.after(edit));
    return edit;
  }

  /** What leads from the newest version that is kept to this one. */
  get unsaved() {
    return this.since(this.saved);
  }

  /** What was done since a version was opened. */
  get changes() {
    return this.since(this.opened);
  }

  /** The steps from other edits to these: undos, then edits. */
  since({ edits, done }) {
    const mine = this.edits.slice(0, this.done);
    const kept = edits.slice(0, done);
    let same = 0;
    while (same < Math.min(mine.length, kept.length) && areSame(mine[same], kept[same])) same += 1;
    return [...new Array(kept.length - same).fill({ undo: true }), ...mine.slice(same)];
  }
}
