// The piano roll of words of music: time to the right, pitch upwards, a colour for each track.

import { drawn } from "./dom.js";

/** A drawing; null for words without notes. */
export function roll(text) {
  const notes = [];
  const now = { Position: 0, Track: 0 };
  let [start, bar, size] = [0, 0, 48]; // steps, twelve a beat
  for (const word of text.split(" ")) {
    const [kind, value] = word.split("_");
    now[kind] = parseInt(value, 10);
    if (kind === "Bar") [start, bar, now.Position] = [start + bar, size, 0];
    if (kind === "Meter") bar = size = (48 * now.Meter) / value.split("/")[1];
    const [x, y, width] = [start + now.Position, -now.Pitch, now.Duration];
    if (kind === "Duration" && y < 0) notes.push({ x, y, width, height: 1, class: `g${now.Track % 8}` });
  }
  if (!notes.length) return null;
  const most = (of) => Math.max(...notes.map(of));
  const high = most(({ y }) => -y) + 1;
  const box = [0, -high, most(({ x, width }) => x + width), most(({ y }) => y) + high + 2];
  const all = { viewBox: box.join(" "), class: "dots roll", preserveAspectRatio: "none", "aria-hidden": "true" };
  return drawn("svg", all, notes.map((note) => drawn("rect", note)));
}
