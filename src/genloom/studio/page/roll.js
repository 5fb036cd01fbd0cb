// The piano roll of words of music: time to the right, pitch upwards, a colour for each track.

import { drawn } from "./dom.js";

/** A drawing of what `music.events.decode` reads; null for words without notes. */
export function roll(text) {
  const notes = [];
  let [bar, size, place, track, pitch, fresh] = [-1, 48, 0, 0, null, true]; // steps, twelve a beat
  for (const word of text.split(" ")) {
    const [kind, value] = word.split("_");
    const number = parseInt(value, 10);
    if (kind === "Bar") [bar, place] = [bar < 0 ? 0 : bar + size, 0];
    if (kind === "Meter" && fresh) size = (48 * number) / value.split("/")[1];
    if (kind === "Position" && number < size) place = number;
    if (kind === "Track") track = number;
    if (kind === "Duration" && pitch !== null) {
      notes.push({ start: Math.max(bar, 0) + place, pitch, length: Math.min(number, 192), track });
    }
    pitch = kind === "Pitch" ? number : null;
    fresh = kind === "Bar" || (fresh && kind === "Meter");
  }
  return notes.length ? bars(notes) : null;
}

/** A drawing of notes, in steps: {start, pitch, length, track}. One that is struck again ends there. */
export function bars(notes) {
  const again = {}; // where a key is struck next
  const late = [...notes].sort((a, b) => b.start - a.start || b.length - a.length);
  const rects = late.map(({ start, pitch, length, track = 0 }) => {
    const key = [track, pitch];
    const width = Math.min(length, (again[key] ?? Infinity) - start);
    again[key] = start;
    return { x: start, y: -pitch, width, height: 1, class: `g${track % 8}` };
  });
  const most = (of) => Math.max(...rects.map(of));
  const high = most(({ y }) => -y) + 1;
  const box = [0, -high, most(({ x, width }) => x + width), most(({ y }) => y) + high + 2];
  const all = { viewBox: box.join(" "), class: "dots roll", preserveAspectRatio: "none", "aria-hidden": "true" };
  return drawn("svg", all, rects.reverse().filter(({ width }) => width).map((rect) => drawn("rect", rect)));
}
