// One click on the model: the network is asked which part is there, and answers in up to three sizes.
import { inWords } from "./part-keeping.js";
import { several } from "./part-words.js";

const FIRST_PAUSE_MS = 30;
const LONGEST_PAUSE_MS = 800;
const SLOW_MS = 2500;
const ENDED = ["succeeded", "failed", "canceled", "expired"];
const SIZES = { 1: [""], 2: ["Smaller", "Larger"], 3: ["Small", "Medium", "Large"] };
const ASKING = "Asking the network…";
const INVITING = "Click a place on the model. On the keyboard: Enter asks at its middle.";
const MISSED = "There is nothing of the model at this place.";
const SILENT = "The server does not answer. Click again in a moment.";

function wait(ms) {
  return new Promise((done) => setTimeout(done, ms));
}

function percent(share) {
  return share < 0.001 ? "under 0.1 %" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}

/** Answers that a person can read: of the server, or a job that failed. */
function reason(said, status) {
  return said ? inWords(said) : `The server answered ${status}, with nothing that can be read here.`;
}

/** The different sets of patches of an answer, the smallest first; the best one is marked. */
function sizesOf({ masks }, areas) {
  const sizes = new Map();
  masks.forEach((mask, rank) => {
    const key = mask.patches.join();
    if (!sizes.has(key)) sizes.set(key, { patches: mask.patches, isWithin: mask.is_within_a_patch, isBest: rank === 0 });
  });
  for (const size of sizes.values()) size.area = size.patches.reduce((sum, patch) => sum + areas[patch], 0);
  return [...sizes.values()].sort((one, other) => one.area - other.area);
}

export class PartPick {
  constructor(explorer) {
    this.explorer = explorer;
    this.url = explorer.getAttribute("picks-url");
    this.turn = 0; // of the newest click
    this.sizes = [];
    this.chosen = -1;
    const { pick } = explorer.the;
    pick?.addEventListener("change", () => this.turnTo(pick.checked));
  }

  get isOn() {
    return Boolean(this.explorer.the.pick?.checked);
  }

  /** The patches that are lit up. */
  get patches() {
    return this.sizes[this.chosen]?.patches ?? [];
  }

  turnTo(on) {
    const { the } = this.explorer;
    the.stage.toggleAttribute("data-picking", on);
    the.pickPanel.hidden = !on;
    this.forget();
    if (on) this.say(INVITING);
    else this.explorer.tell("picking is off");
  }

  /** Let go of an answer, and of what is being asked. */
  forget() {
    this.turn += 1;
    this.cancel();
    this.show([]);
  }

  leavePick() {
    this.keepFocus();
    this.forget();
    this.say(INVITING);
  }

  /** Buttons that go away would give the focus to the page. */
  keepFocus() {
    const { pickPanel, stage } = this.explorer.the;
    if (pickPanel.contains(document.activeElement)) stage.focus();
  }

  /** What Escape does while picking: leave the answer, then the picking. */
  escape() {
    if (this.sizes.length || this.isAsking) this.leavePick();
    else this.explorer.the.pick.click();
  }

  say(text, { isAsking = false, isBad = false } = {}) {
    const { pickPanel, pickText } = this.explorer.the;
    this.isAsking = isAsking;
    pickPanel.dataset.state = isAsking ? "asking" : isBad ? "bad" : "";
    pickText.textContent = text;
    this.explorer.tell(text);
  }

  askAtMiddle() {
    const { left, top, width, height } = this.explorer.scene.canvas.getBoundingClientRect();
    return this.ask(left + width / 2, top + height / 2);
  }

  /** Ask about a place of the window; a newer click makes this one void. */
  async ask(clientX, clientY) {
    this.forget();
    const { turn } = this;
    const { pointAt } = await import("./part-ray.js"); // with three.js, which comes last
    const point = await pointAt(this.explorer.scene, clientX, clientY);
    if (turn !== this.turn) return;
    if (!point) {
      this.say(MISSED);
      return;
    }
    this.say(ASKING, { isAsking: true });
    try {
      const answer = await this.answerAt(point, turn);
      if (turn === this.turn && answer) this.take(answer);
    } catch (error) {
      if (turn === this.turn) this.say(error instanceof TypeError ? SILENT : error.message, { isBad: true });
    }
  }

  async answerAt(point, turn) {
    const sent = await fetch(this.url, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": document.body.dataset.csrf },
      body: JSON.stringify({ point }),
    });
    const said = await sent.json().catch(() => null);
    if (!sent.ok || !said) throw new Error(reason(said, sent.status));
    if (turn !== this.turn) {
      this.cancel(said);
      return null;
    }
    this.job = said;
    const job = await this.ended(said, turn);
    if (!job) return null;
    this.job = null;
    if (job.status !== "succeeded") throw new Error(job.error ? inWords(job.error) : `The question was ${job.status}.`);
    const { url } = job.outputs.find(({ role }) => role === "pick");
    return (await this.explorer.fetched(url)).json();
  }

  /** Look after a job until it has ended; null if a newer click came in between. */
  async ended(job, turn) {
    const since = performance.now();
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(1.25 * pause, LONGEST_PAUSE_MS)) {
      await wait(pause);
      if (turn !== this.turn) return null;
      const now = await (await this.explorer.fetched(job.links.self)).json();
      if (turn !== this.turn) return null;
      if (ENDED.includes(now.status)) return now;
      if (performance.now() - since > SLOW_MS) this.explain(now);
    }
  }

  /** Say why an answer takes long. */
  explain({ status, queue_position: place }) {
    const waits = status === "queued" && `${ASKING} It waits for other work: place ${place ?? 1} in the queue.`;
    const text = waits || `${ASKING} The first click on a mesh takes longer.`;
    if (this.explorer.the.pickText.textContent !== text) this.say(text, { isAsking: true });
  }

  cancel(job = this.job) {
    if (job === this.job) this.job = null;
    if (!job) return;
    const headers = { "X-CSRF-Token": document.body.dataset.csrf };
    fetch(`${job.links.self}/cancel`, { method: "POST", headers }).catch(() => null); // it ends by itself
  }

  take(answer) {
    const sizes = sizesOf(answer, this.explorer.measured.areas);
    this.show(sizes, sizes.findIndex(({ isBest }) => isBest));
    const { isWithin } = sizes[this.chosen];
    const best = SIZES[sizes.length][this.chosen].toLowerCase();
    const many = sizes.length === 1 ? "The network sees one size here." : `${sizes.length} sizes; the network expects the ${best} one to fit best.`;
    this.say(isWithin ? `What the network sees here is smaller than a patch, so the patch is lit up. ${many}` : many);
  }

  show(sizes, chosen = -1) {
    this.sizes = sizes;
    const { the } = this.explorer;
    the.pickSizes.replaceChildren(...sizes.map((size, at) => this.sizeButton(size, at)));
    the.pickSizes.hidden = sizes.length < 2;
    the.pickButtons.hidden = !sizes.length;
    this.choose(chosen);
  }

  sizeButton({ area, isBest }, at) {
    const name = SIZES[this.sizes.length][at];
    const facts = document.createElement("span");
    facts.textContent = `${percent(area / (this.explorer.area || 1))}${isBest ? " · best" : ""}`;
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.append(`${name} `, facts);
    button.addEventListener("click", () => {
      this.choose(at);
      this.explorer.tell(`${name} lit up: ${facts.textContent}`);
    });
    return button;
  }

  choose(at) {
    this.chosen = at;
    [...this.explorer.the.pickSizes.children].forEach((button, number) => button.setAttribute("aria-pressed", String(number === at)));
    this.explorer.showScene();
    this.showControls();
  }

  /** Whether what is lit up can become a part. */
  showControls() {
    const { the, buttons, parts, division } = this.explorer;
    if (!buttons.takePick || !this.sizes.length) return;
    buttons.takePick.disabled = !division.canTake(this.patches);
    const { name } = parts[division.patchParts[this.patches[0]]];
    the.pickHint.textContent = buttons.takePick.disabled ? `it is ${name} already` : "";
  }

  takePick() {
    const { explorer, patches } = this;
    const count = explorer.division.taken(patches).count;
    patches.forEach((patch) => (explorer.unseen[patch] = 0));
    this.keepFocus();
    this.forget();
    explorer.edits.add({ part: patches }, "");
    explorer.choosePatches(patches);
    const { name } = explorer.parts[explorer.division.patchParts[patches[0]]];
    this.say(`${name} is a part now: ${several(count)}. Click the next place.`);
  }
}
