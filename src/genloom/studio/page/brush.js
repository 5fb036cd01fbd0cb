// A brush over a picture: what is painted is where it may change. Mouse, finger, pen or keys.

import { announce, button, h } from "./dom.js";
import { clamp, numberField } from "./fields.js";
import { t } from "./words.js";

const LARGE = 512; // pixels of the longer side that is painted on
const COLOUR = "#ff2d87";
const USUAL = 14; // breadth, in hundredths of the longer side
const ENOUGH = 0.3; // of a pixel, for it to count as painted
const STEP = 0.5; // of the brush, for an arrow key

/** A picture to paint on, with its tools, as `node`. */
export class Brush {
  /**
   * @param {HTMLCanvasElement} picture What is painted over.
   * @param {number[]} shape Of the model's pictures: channels, height, width.
   * @param {Array<object>} strokes Of before: {points, size, erase}, in pixels that are painted on, or {clear}.
   * @param {(share: number) => void} onchange Told how much is painted.
   */
  constructor(picture, shape, strokes = [], onchange) {
    this.shape = shape;
    this.strokes = [...strokes];
    this.onchange = onchange;
    this.erasing = false;
    const scale = LARGE / Math.max(picture.width, picture.height);
    const size = { width: Math.round(picture.width * scale), height: Math.round(picture.height * scale) };
    this.at = { x: size.width / 2, y: size.height / 2 }; // of the keys
    this.over = h("canvas.over", { ...size, tabindex: 0, role: "img", on: this.gestures() });
    this.ring = h("span.ring", { "aria-hidden": "true", hidden: true });
    picture.classList.add("under");
    picture.setAttribute("aria-hidden", "true");
    this.size = numberField({ name: t("brush.size"), low: 2, high: 50, whole: true, start: USUAL });
    const tool = (sign, name, erase) =>
      button(sign, name, () => this.take(erase), { kind: ".toggle.tool", "aria-pressed": String(!erase) });
    this.tools = [tool("brush", t("brush.paint"), false), tool("eraser", t("brush.erase"), true)];
    this.back = button("undo", t("brush.undo"), () => this.undo(), { bare: true });
    this.wipe = button("trash", t("brush.clear"), () => this.add({ clear: true }), { bare: true });
    this.node = h(
      "div.brush",
      {},
      h("div.board", {}, picture, this.over, this.ring),
      h("div.tools", { role: "group", "aria-label": t("brush.tools") }, this.tools, this.back, this.wipe),
      this.size.node,
    );
    this.draw();
  }

  get pen() {
    return this.over.getContext("2d", { willReadFrequently: true });
  }

  /** Pixels across. */
  get width() {
    return (LARGE * this.size.inside(USUAL)) / 100;
  }

  gestures() {
    return {
      pointerdown: (event) => this.begin(event),
      pointermove: (event) => this.move(event),
      pointerup: () => this.end(),
      pointercancel: () => this.end(),
      pointerleave: () => this.point(null),
      keydown: (event) => this.key(event),
      blur: () => this.point(null),
    };
  }

  place({ clientX, clientY }) {
    const box = this.over.getBoundingClientRect();
    const x = ((clientX - box.left) / box.width) * this.over.width;
    return { x, y: ((clientY - box.top) / box.height) * this.over.height };
  }

  begin(event) {
    if (event.button !== 0) return;
    event.preventDefault(); // no selecting; the focus is set by hand
    this.over.focus({ preventScroll: true, focusVisible: false });
    this.over.setPointerCapture(event.pointerId);
    this.stroke = { points: [this.place(event)], size: this.width, erase: this.erasing };
    this.line(this.stroke);
  }

  move(event) {
    this.point(event.pointerType === "mouse" ? this.place(event) : null);
    if (!this.stroke) return;
    const all = event.getCoalescedEvents?.() ?? [];
    this.stroke.points.push(...(all.length ? all : [event]).map((one) => this.place(one)));
    this.line(this.stroke);
  }

  end() {
    if (!this.stroke) return;
    const { stroke } = this;
    this.stroke = null;
    this.add(stroke);
  }

  /** Arrows move, the space bar paints, an arrow with Shift paints on the way. */
  key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === " ") this.dab([this.at]);
    else if (way) {
      const from = this.at;
      const to = (v, k, most) => clamp(v + way[k] * this.width * STEP, 0, most);
      this.at = { x: to(from.x, 0, this.over.width), y: to(from.y, 1, this.over.height) };
      if (event.shiftKey) this.dab([from, this.at]);
    } else return;
    event.preventDefault();
    this.point(this.at);
  }

  dab(points) {
    this.add({ points, size: this.width, erase: this.erasing });
  }

  take(erase) {
    this.erasing = erase;
    this.tools.forEach((one, i) => one.setAttribute("aria-pressed", String(erase === (i === 1))));
  }

  add(stroke) {
    this.strokes.push(stroke);
    this.changed();
  }

  undo() {
    this.strokes.pop();
    this.changed();
  }

  changed() {
    this.draw();
    this.onchange(this.share);
    announce(this.told());
  }

  /** All of it anew. */
  draw() {
    const { pen } = this;
    pen.clearRect(0, 0, this.over.width, this.over.height);
    for (const stroke of this.strokes) {
      if (stroke.clear) pen.clearRect(0, 0, this.over.width, this.over.height);
      else this.line(stroke);
    }
    this.share = this.painted();
    this.over.setAttribute("aria-label", `${t("brush.board")} ${this.told()}`);
    this.back.disabled = !this.strokes.length;
    this.wipe.disabled = !this.share;
  }

  line({ points, size, erase }) {
    const { pen } = this;
    pen.globalCompositeOperation = erase ? "destination-out" : "source-over";
    Object.assign(pen, { strokeStyle: COLOUR, lineWidth: size, lineCap: "round", lineJoin: "round" });
    pen.beginPath();
    pen.moveTo(points[0].x, points[0].y);
    for (const { x, y } of points.length > 1 ? points.slice(1) : points) pen.lineTo(x, y);
    pen.stroke();
  }

  /** Show where the brush is; null hides it. */
  point(place) {
    this.ring.hidden = !place;
    if (!place) return;
    const share = (v, whole) => `${(100 * v) / whole}%`;
    this.ring.style.setProperty("left", share(place.x, this.over.width));
    this.ring.style.setProperty("top", share(place.y, this.over.height));
    this.ring.style.setProperty("width", share(this.width, this.over.width));
  }

  /** The share of the picture that is painted, in [0, 1]. */
  painted() {
    const { data } = this.pen.getImageData(0, 0, this.over.width, this.over.height);
    let count = 0;
    for (let i = 3; i < data.length; i += 4) count += data[i] > 127;
    return count / (data.length / 4);
  }

  told() {
    return t("brush.share", { share: Math.round(100 * this.share) });
  }

  /**
   * At the model's size: clear where a good part of a pixel is painted, or of no other more.
   * @returns {string|null} A data: URL (what a canvas makes always has an alpha channel); null where nothing is painted.
   */
  mask() {
    const [, height, width] = this.shape;
    const covered = this.covered(height, width);
    const most = Math.max(...covered.map((row) => Math.max(...row)));
    if (!most) return null;
    const sheet = h("canvas", { width, height });
    const pen = sheet.getContext("2d");
    pen.fillRect(0, 0, width, height);
    covered.forEach((row, y) => row.forEach((share, x) => share >= Math.min(ENOUGH, most) && pen.clearRect(x, y, 1, 1)));
    return sheet.toDataURL("image/png");
  }

  /** How much of each pixel of the model's is painted, in [0, 1]. */
  covered(height, width) {
    const { width: wide, height: high } = this.over;
    const { data } = this.pen.getImageData(0, 0, wide, high);
    const ends = (i, parts, whole) => [Math.floor((i * whole) / parts), Math.ceil(((i + 1) * whole) / parts)];
    return Array.from({ length: height }, (_, y) =>
      Array.from({ length: width }, (_, x) => {
        const [top, bottom] = ends(y, height, high);
        const [left, right] = ends(x, width, wide);
        let sum = 0;
        for (let i = top; i < bottom; i++) for (let j = left; j < right; j++) sum += data[4 * (i * wide + j) + 3];
        return sum / (255 * (bottom - top) * (right - left));
      }),
    );
  }
}
