// A folder as a zip archive, stored as it is: pictures do not get smaller, and the server reads zips.

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});
const UTF8 = 0x800; // names are UTF-8
const OLDEST = 0x21; // 1 January 1980: the same folder always makes the same archive
export const MOST_FILES = 65_000;
export const MOST_BYTES = 2 ** 31;

/** The checksum that zip wants (CRC-32). @param {Uint8Array} bytes */
function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** Numbers as little-endian bytes. @param {string} widths How many of them, a digit for each number. */
function packed(widths, ...numbers) {
  const bytes = (number, i) => Array.from({ length: widths[i] }, (_, k) => (number >>> (8 * k)) & 255);
  return Uint8Array.from(numbers.flatMap(bytes));
}

/**
 * An archive.
 * @param {Array<{path: string, file: File}>} entries With / between folders.
 * @param {(done: number) => void} hear Gets how many files are in.
 * @returns {Promise<Blob>}
 */
export async function zip(entries, hear = () => {}) {
  const body = [];
  const directory = [];
  let offset = 0;
  for (const [i, { path, file }] of entries.entries()) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const name = new TextEncoder().encode(path);
    const { length } = bytes;
    // version, flags, stored, time, date, checksum, sizes, lengths of name and extra field
    const common = [20, UTF8, 0, 0, OLDEST, crc32(bytes), length, length, name.length, 0];
    const head = packed("42222244422", 0x04034b50, ...common);
    // the same again, then comment, disk, kinds, place
    directory.push(packed("42222224442222244", 0x02014b50, 20, ...common, 0, 0, 0, 0, offset), name);
    body.push(head, name, file);
    offset += head.length + name.length + length;
    hear(i + 1);
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = packed("42222442", 0x06054b50, 0, 0, entries.length, entries.length, size, offset, 0);
  return new Blob([...body, ...directory, end], { type: "application/zip" });
}

const hidden = (path) => path.split("/").some((part) => part.startsWith(".") || part === "__MACOSX");

/** Files with their paths, without what desktops leave behind; one folder around all of them is taken off. */
export function tidy(entries) {
  const kept = entries.filter(({ path }) => !hidden(path));
  const tops = new Set(kept.map(({ path }) => (path.includes("/") ? path.split("/")[0] : "")));
  const [top] = tops;
  if (tops.size > 1 || !top) return { name: "", entries: kept };
  return { name: top, entries: kept.map(({ path, file }) => ({ path: path.slice(top.length + 1), file })) };
}

/** All files of a drop, folders gone through. @param {DataTransferItemList} items @returns {Promise<Array<{path, file}>>} */
export async function dropped(items) {
  const roots = [...items].map((item) => item.webkitGetAsEntry()).filter(Boolean); // before the event has ended
  const found = [];
  for (const root of roots) await collect(root, found);
  return found;
}

async function collect(entry, found) {
  if (found.length > MOST_FILES) return;
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    found.push({ path: entry.fullPath.replace(/^\//, ""), file });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed)); // 100 at a time
    if (!some.length) return;
    for (const one of some) await collect(one, found);
  }
}
