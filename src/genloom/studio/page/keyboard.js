// A piano of two octaves: played by pointer, by letters or by a MIDI keyboard, heard and written down.

import { button, fill, h, toast } from "./dom.js";
import { numberField, toggle } from "./fields.js";
import { notesOf, written } from "./midi.js";
import { bars } from "./roll.js";
import { t } from "./words.js";

const [LOWEST, KEYS] = [60, 25];
const NAMES = ["C", "C\u266f", "D", "D\u266f", "E", "F", "F\u266f", "G", "G\u266f", "A", "A\u266f", "B"];
const LETTERS = "KeyA KeyW KeyS KeyE KeyD KeyF KeyT KeyG KeyY KeyH KeyU KeyJ KeyK KeyO KeyL KeyP Semicolon".split(" ");
const QUIET = 700; // milliseconds after which what was played is told
const GRID = 2; // lines of a beat: eighth notes
const START = 90; // beats a minute
const PAUSE = 4; // beats of silence, from which on it is a pause of the player and not of the tune
let heard = null; // what all keyboards of the page sound through
const nameOf = (pitch) => `${NAMES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;

/** The keys, with what was played on them. */
export class Keyboard {
  /** @param {(file: File|null) => void} told What was played, as a MIDI file; null for nothing. */
  constructor(told) {
    Object.assign(this, { told, strokes: [], held: new Map(), clicks: null, waiting: 0, inputs: [] });
    this.letters = new Map(); // code of a letter that is down -> its pitch
    this.paused = this.last = 0; // milliseconds that are left out; when the last key was let go
    this.keys = Array.from({ length: KEYS }, (_, i) => this.key(LOWEST + i));
    const change = () => this.strokes.length && this.tell();
    this.tempo = numberField({ name: t("keyboard.tempo"), low: 40, high: 200, whole: true, start: START, onchange: change });
    this.click = toggle({ name: t("keyboard.click"), start: false });
    this.drawing = h("div");
    const letters = {
      keydown: (event) => this.letter(event),
      keyup: ({ code, timeStamp }) => this.up(this.letters.get(code), timeStamp),
      focusout: (event) => this.left(event),
    };
    this.node = h(
      "div.keyboard",
      {},
      h("div.piano", { role: "group", "aria-label": t("keyboard.name"), on: letters }, this.keys),
      h("span.hint", {}, t("keyboard.hint")),
      this.drawing,
      this.tempo.node,
      this.click.node,
      h(
        "div.actions",
        {},
        button("undo", t("keyboard.undo"), () => this.keep(this.strokes.length - 1), { kind: ".quiet" }),
        button("trash", t("keyboard.clear"), () => this.keep(0), { kind: ".quiet" }),
        navigator.requestMIDIAccess && button("play", t("keyboard.connect"), () => this.connect(), { kind: ".quiet" }),
      ),
    );
  }

  key(pitch) {
    const up = ({ timeStamp }) => this.up(pitch, timeStamp);
    const down = (event) => {
      if (event.button) return;
      event.currentTarget.setPointerCapture(event.pointerId);
      this.down(pitch, event.timeStamp);
    };
    const on = { pointerdown: down, pointerup: up, pointercancel: up };
    const kind = nameOf(pitch).length > 2 ? ".black" : "";
    const tabindex = pitch === LOWEST ? 0 : -1;
    return h(`button${kind}`, { type: "button", "aria-label": nameOf(pitch), "data-pitch": pitch, tabindex, on });
  }

  /** Letters lie as the keys of a piano do; Space and Enter press the key that has the focus, arrows move it. */
  letter(event) {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.code];
    if (way) this.keys[this.keys.indexOf(event.target) + way]?.focus();
    const at = LETTERS.indexOf(event.code);
    const focused = ["Space", "Enter"].includes(event.code) && event.target.dataset.pitch;
    if ((at < 0 && !focused) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (event.repeat) return;
    this.letters.set(event.code, focused ? Number(focused) : LOWEST + at);
    this.down(this.letters.get(event.code), event.timeStamp);
  }

  /** No key is held by who has gone elsewhere. */
  left({ currentTarget, relatedTarget, timeStamp }) {
    if (!currentTarget.contains(relatedTarget)) this.release(timeStamp);
  }

  release(at) {
    for (const pitch of [...this.held.keys()]) this.up(pitch, at);
  }

  down(pitch, at) {
    this.up(pitch, at);
    clearTimeout(this.waiting);
    const silent = at - this.last;
    if (this.strokes.length && !this.held.size && silent > (PAUSE * 60000) / this.beats) this.paused += silent;
    this.held.set(pitch, { from: at - this.paused, sound: this.sound(pitch) });
    this.light(pitch, true);
    if (this.click.value() && !this.clicks) {
      const click = () => (this.node.isConnected ? this.sound(96)(0.04) : this.quit());
      this.clicks = setInterval(click, 60000 / this.beats);
    }
  }

  up(pitch, at) {
    const stroke = this.held.get(pitch);
    if (!stroke) return;
    stroke.sound(0.15);
    this.held.delete(pitch);
    this.light(pitch, false);
    this.strokes.push({ pitch, from: stroke.from, to: at - this.paused });
    this.last = at;
    this.draw();
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.tell(), QUIET);
  }

  light(pitch, on) {
    this.keys[pitch - LOWEST]?.classList.toggle("down", on);
  }

  /** Begin a sound. @returns {(fade: number) => void} Ends it, in so many seconds. */
  sound(pitch) {
    heard ??= new AudioContext();
    const [wave, loud] = [heard.createOscillator(), heard.createGain()];
    wave.type = "triangle";
    wave.frequency.value = 440 * 2 ** ((pitch - 69) / 12);
    loud.gain.value = 0.2;
    wave.connect(loud).connect(heard.destination);
    wave.start();
    return (fade) => {
      loud.gain.setTargetAtTime(0, heard.currentTime, fade / 3);
      wave.stop(heard.currentTime + 2 * fade);
    };
  }

  get beats() {
    return this.tempo.inside(START);
  }

  get notes() {
    return notesOf(this.strokes, { tempo: this.beats, grid: GRID });
  }

  draw() {
    fill(this.drawing, this.strokes.length > 0 && bars(this.notes));
  }

  /** Begin a silence. */
  rest() {
    clearTimeout(this.waiting);
    clearInterval(this.clicks);
    this.clicks = null;
  }

  /** Say what was played. */
  tell() {
    this.rest();
    this.draw();
    this.told(this.strokes.length ? new File([written(this.notes, this.beats)], "played.mid") : null);
  }

  /** Keep the first strokes alone. */
  keep(count) {
    if (!this.strokes.length) return;
    this.strokes.length = count;
    this.tell();
  }

  /** Nothing was played: something else has taken its place. */
  forget() {
    this.rest();
    this.strokes = [];
    this.draw();
  }

  /** The page shows something else: be still, and hear no MIDI keyboard any more. */
  quit() {
    this.release(performance.now());
    this.rest();
    for (const input of this.inputs) input.onmidimessage = null;
  }

  /** Listen to the MIDI keyboards of this machine. */
  async connect() {
    try {
      const { inputs } = await navigator.requestMIDIAccess();
      this.inputs = [...inputs.values()];
      for (const input of this.inputs) input.onmidimessage = ({ data, timeStamp }) => this.message(data, timeStamp);
      toast(t(inputs.size ? "keyboard.connected" : "keyboard.none", { n: inputs.size }), { bad: !inputs.size });
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }

  message([status, pitch, velocity], at) {
    if (!this.node.isConnected) return this.quit();
    const kind = status & 0xf0;
    if (kind === 0x90 && velocity) this.down(pitch, at);
    else if (kind === 0x80 || kind === 0x90) this.up(pitch, at);
  }
}
