// The versions of the parts that the server keeps: an older one can be looked at, and gone on from.
import { LEAVING } from "./part-keeping.js";
import { several } from "./part-words.js";

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

function moment(text) {
  if (!text) return "";
  const time = new Date(text);
  const isToday = time.toDateString() === new Date().toDateString();
  return ` · ${(isToday ? clock : calendar).format(time)}`;
}

function option({ version, created_at: createdAt, count, note }) {
  return new Option(`${version}${moment(createdAt)} · ${several(count)} · ${note}`, version);
}

export class PartVersions {
  constructor(explorer) {
    this.explorer = explorer;
    this.wanted = null;
    explorer.the.versions.addEventListener("change", () => this.choose(Number(explorer.the.versions.value)));
  }

  /** Ask which versions there are; without an answer the list stays as it was. */
  async refresh() {
    const { the } = this.explorer;
    try {
      const answer = await this.explorer.fetched(`${this.explorer.getAttribute("parts-url")}/versions`);
      const { items } = await answer.json();
      the.versions.replaceChildren(...items.map(option));
      the.versionField.hidden = items.length < 2;
    } catch {
      return;
    }
    this.showOpened();
  }

  showOpened() {
    this.explorer.the.versions.value = String(this.explorer.opened.version);
  }

  /** Open a version, unless that would lose what was not saved. */
  choose(version) {
    const changes = this.explorer.editing.changes.length;
    this.wanted = version;
    if (changes) {
      this.showOpened();
      this.explorer.keeping.trouble(`${changes === 1 ? "1 change is" : `${changes} changes are`} not saved. Open version ${version} all the same?`, LEAVING);
      return Promise.resolve();
    }
    return this.open(version);
  }

  async open(version) {
    const { explorer } = this;
    let found = null;
    try {
      found = version === explorer.kept.version ? explorer.kept : await explorer.version(version);
    } catch (error) {
      const isGone = error.status === 404 || error.status === 410;
      const why = isGone ? "The server no longer has it." : error instanceof TypeError ? "The server does not answer." : error.message;
      explorer.keeping.trouble(`Version ${version} could not be opened. ${why}`);
      this.showOpened();
      return;
    }
    if (this.wanted !== version) return; // somebody has chosen another one since
    explorer.keeping.calm();
    explorer.opened = found;
    explorer.editing.open(found.edits, found.done);
    explorer.pointed = explorer.previewed = null;
    explorer.showParts();
    this.showOpened();
    explorer.tell(`version ${version} opened: ${several(explorer.division.count)}`);
  }

  openAnyway() {
    return this.open(this.wanted);
  }

  stay() {
    this.explorer.keeping.calm();
    this.explorer.tell("nothing was opened");
  }
}
