// What was played, as notes on a grid, and these as a MIDI file.

const BEAT = 12; // steps, as music.notes counts them
const TEMPO = 0x51;

/**
 * Strokes of keys as notes: each begins on the nearest line of the grid and ends on a later one.
 * @param {Array<{pitch: number, from: number, to: number}>} strokes In milliseconds.
 * @param {{tempo: number, grid: number}} how Beats a minute; lines of the grid in a beat.
 * @returns {Array<{pitch: number, start: number, length: number}>} In steps; the first begins at 0.
 */
export function notesOf(strokes, { tempo, grid }) {
  const line = 60000 / tempo / grid;
  const first = Math.min(...strokes.map(({ from }) => from));
  return strokes.map(({ pitch, from, to }) => {
    const start = Math.round((from - first) / line);
    const end = Math.max(start + 1, Math.round((to - first) / line));
    return { pitch, start: (start * BEAT) / grid, length: ((end - start) * BEAT) / grid };
  });
}

/** A number as MIDI writes one of any size: seven bits a byte, all but the last marked. */
function varying(n) {
  const bytes = [n & 127];
  for (let rest = n >> 7; rest; rest >>= 7) bytes.unshift(128 | (rest & 127));
  return bytes;
}

const big = (n, bytes) => Array.from({ length: bytes }, (_, i) => (n >> (8 * (bytes - 1 - i))) & 255);
const chunk = (name, bytes) => [...name].map((c) => c.charCodeAt(0)).concat(big(bytes.length, 4), bytes);

/** Notes as the bytes of a MIDI file of one track. @returns {Uint8Array} */
export function written(notes, tempo) {
  const strikes = notes.map(({ pitch, start }) => ({ at: start, told: [0x90, pitch, 80] }));
  const ends = notes.map(({ pitch, start, length }) => ({ at: start + length, told: [0x80, pitch, 0] }));
  const events = [...ends, ...strikes].sort((a, b) => a.at - b.at); // a key is let go before it is struck again
  const track = [0, 0xff, TEMPO, 3, ...big(Math.round(6e7 / tempo), 3)];
  let now = 0;
  for (const { at, told } of events) {
    track.push(...varying(at - now), ...told);
    now = at;
  }
  track.push(0, 0xff, 0x2f, 0);
  return new Uint8Array([...chunk("MThd", [0, 0, 0, 1, 0, BEAT]), ...chunk("MTrk", track)]);
}
