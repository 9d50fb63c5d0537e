// What can be told about a file before it is sent; the server checks again.
const TYPES = new Set(["image/png", "image/jpeg", "image/webp"]);
const MAX_SIDE = 8192;
const MIN_SIDE = 32;
const MAX_ASPECT = 8;

async function sizeOf(file) {
  const bitmap = await createImageBitmap(file);
  const size = { width: bitmap.width, height: bitmap.height };
  bitmap.close();
  return size;
}

/** Say why a file cannot be used, or null. */
export async function refusal(file, maxBytes) {
  if (!TYPES.has(file.type)) return `${file.type || "This type"} is not read. Save it as PNG, JPEG or WebP.`;
  if (file.size === 0) return "The file is empty. Choose it again.";
  if (file.size > maxBytes) return `It is larger than ${Math.round(maxBytes / 2 ** 20)} MB. Scale it down.`;
  let size;
  try {
    size = await sizeOf(file);
  } catch {
    return "The picture is damaged. Open it in an image editor and save it again.";
  }
  const longest = Math.max(size.width, size.height);
  const shortest = Math.min(size.width, size.height);
  if (longest > MAX_SIDE) return `It is ${size.width} × ${size.height} pixels. Scale it down to ${MAX_SIDE} a side.`;
  if (shortest < MIN_SIDE) return `It is only ${size.width} × ${size.height} pixels.`;
  if (longest > MAX_ASPECT * shortest) return "It is a long strip. Crop it around the object.";
  return null;
}

/** A key that two equal files share. */
export async function fingerprint(file) {
  if (!crypto.subtle) return `${file.name}:${file.size}:${file.lastModified}`;
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
