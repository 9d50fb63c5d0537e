// Finds the pictures among what was dropped or chosen. A thousand files are looked at eight at a
// time, and of each only the first bytes are read, so that the page stays awake.
const PARALLEL = 8;
const HEAD_BYTES = 16;
const MAX_FOUND = 20_000;
const CLUTTER = new Set([".ds_store", "thumbs.db", "desktop.ini"]);
const ZIP = /\.zip$/i;

function isClutter(path) {
  const name = path.split("/").at(-1).toLowerCase();
  return CLUTTER.has(name) || name.startsWith("._") || path.includes("__MACOSX/");
}

function isPicture(head) {
  const text = String.fromCharCode(...head);
  return text.startsWith("\x89PNG\r\n") || text.startsWith("\xff\xd8\xff") || (text.startsWith("RIFF") && text.slice(8, 12) === "WEBP");
}

/** Say why a file cannot be used, or null; the server looks closer. */
export async function unfit(file, maxBytes) {
  if (file.size === 0) return "the file is empty";
  if (file.size > maxBytes) return `larger than ${Math.round(maxBytes / 2 ** 20)} MB`;
  let head;
  try {
    head = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
  } catch {
    return "it cannot be read";
  }
  return isPicture(head) ? null : "not a PNG, JPEG or WebP picture";
}

export function isZip(file) {
  return ZIP.test(file.name);
}

/** Do work for each thing, some at a time, in no particular order. */
export async function eachOf(things, work) {
  const left = [...things];
  const worker = async () => {
    while (left.length) await work(left.shift());
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
}

function inOrder(found) {
  const names = new Intl.Collator(undefined, { numeric: true });
  return found.sort((one, other) => names.compare(one.path, other.path));
}

function asPromise(ask) {
  return new Promise((resolve, reject) => ask(resolve, reject));
}

async function walk(entry, found) {
  if (found.length >= MAX_FOUND) return;
  const path = entry.fullPath.replace(/^\//, "");
  if (isClutter(path)) return;
  if (entry.isFile) {
    found.push({ file: await asPromise((yes, no) => entry.file(yes, no)), path });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await asPromise((yes, no) => reader.readEntries(yes, no)); // a hundred at most
    if (!some.length) return;
    for (const child of some) await walk(child, found);
  }
}

/** All files of a drop, those in its folders too, as {file, path}. */
export async function dropped(transfer) {
  // The entries are only to be had while the event lasts, so before anything is awaited.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const plain = [...transfer.files];
  if (!entries.length) return plain.map((file) => ({ file, path: file.name }));
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return inOrder(found);
}

/** The files of an input as {file, path}. */
export function picked(input) {
  const found = [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
  return inOrder(found.filter(({ path }) => !isClutter(path)));
}
