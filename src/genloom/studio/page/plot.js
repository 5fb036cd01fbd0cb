// Points as a scatter plot in a canvas, to walk with the pointer or the arrow keys.

import { drawn, h } from "./dom.js";
import { number } from "./words.js";

const EDGE = 30; // CSS pixels around the plot, for the numbers of the axes
const REACH = 18; // CSS pixels within which a pointer takes a point
const COLOURS = 8;

/** A square of the plane around all points, a little wider than they are. */
function frame(points) {
  if (!points.length) return { x: 0, y: 0, half: 1 };
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y = 0]) => y);
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  return { x: (x0 + x1) / 2, y: (y0 + y1) / 2, half: 0.55 * Math.max(x1 - x0, y1 - y0, 0.02) };
}

/** Round numbers between two ends, about five of them. */
function ticks(low, high) {
  const rough = (high - low) / 5;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * unit).find((s) => s >= rough);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

/** A small plot without axes. @param {Array<{values: number[]|null, group: number, faint?: boolean}>} points */
export function dots(points) {
  const shown = points.filter(({ values }) => values);
  const view = frame(shown.map(({ values }) => values));
  const part = (v, middle, way) => (50 + (way * 46 * (v - middle)) / view.half).toFixed(1);
  return drawn(
    "svg",
    { class: "dots", viewBox: "0 0 100 100", "aria-hidden": "true" },
    shown.map(({ values: [x, y = 0], group, faint }) =>
      drawn("circle", {
        class: faint ? "faint" : `g${colour(group)}`,
        cx: part(x, view.x, 1),
        cy: part(y, view.y, -1),
        r: faint ? 1.6 : 2.8,
      }),
    ),
  );
}

export const colour = (group) => ((group % COLOURS) + COLOURS) % COLOURS;

/** A scatter plot; `onopen` gets the index of a point. */
export class Plot {
  constructor({ label, onopen }) {
    this.node = h("canvas.plot", { tabindex: 0, role: "img", "aria-label": label });
    this.points = [];
    this.earlier = [];
    this.view = frame([]);
    this.at = -1;
    this.listen(onopen);
  }

  /**
   * Show points, and earlier ones faintly.
   * @param {Array<{values: number[]|null, group: number}>} points @param {number[][]} earlier
   * @param {boolean} settled False while they still move: then the frame stays where it can.
   */
  show(points, earlier = [], settled = true) {
    this.points = points;
    this.earlier = earlier;
    const wanted = frame([...points.map((p) => p.values).filter(Boolean), ...earlier]);
    if (settled || wanted.half > this.view.half || this.view.half > 4 * wanted.half) this.view = wanted;
    this.draw();
  }

  listen(onopen) {
    const { node } = this;
    node.addEventListener("pointermove", (event) => this.mark(this.nearest(event)));
    node.addEventListener("pointerleave", () => this.mark(-1));
    node.addEventListener("click", (event) => {
      const found = this.nearest(event);
      if (found >= 0) onopen(found);
    });
    node.addEventListener("keydown", (event) => {
      const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const n = this.points.length;
      if (way && n) {
        event.preventDefault();
        this.mark(this.at < 0 && way < 0 ? n - 1 : (this.at + way + n) % n);
      }
      if (event.key === "Enter" && !event.ctrlKey && this.points[this.at]) {
        event.preventDefault(); // else the same press goes on to the button that takes the focus
        onopen(this.at);
      }
    });
    node.addEventListener("recolour", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(node);
  }

  /** Ring a point; -1 for none. */
  mark(at) {
    this.at = at;
    this.node.classList.toggle("on", at >= 0);
    this.draw();
  }

  /** Where values stand, in CSS pixels. */
  place([x, y = 0]) {
    const size = this.node.clientWidth - 2 * EDGE;
    const { view } = this;
    return [EDGE + size * (0.5 + (x - view.x) / (2 * view.half)), EDGE + size * (0.5 - (y - view.y) / (2 * view.half))];
  }

  nearest(event) {
    const box = this.node.getBoundingClientRect();
    const far = this.points.map(({ values }) => {
      if (!values) return Infinity;
      const [x, y] = this.place(values);
      return Math.hypot(x - (event.clientX - box.left), y - (event.clientY - box.top));
    });
    const best = far.indexOf(Math.min(...far));
    return far[best] <= REACH ? best : -1;
  }

  /** A colour of the style sheet, as a canvas takes it. */
  ink(name) {
    this.node.style.color = `var(${name})`;
    return getComputedStyle(this.node).color;
  }

  draw() {
    const side = this.node.clientWidth;
    if (!this.node.isConnected || !side) return;
    const ratio = devicePixelRatio || 1;
    this.node.width = this.node.height = Math.round(side * ratio);
    const pen = this.node.getContext("2d");
    pen.scale(ratio, ratio);
    this.axes(pen, side - EDGE);
    pen.globalAlpha = 0.22;
    pen.fillStyle = this.ink("--soft");
    for (const values of this.earlier) dot(pen, this.place(values), 2.5);
    pen.globalAlpha = 0.9;
    for (const { values, group } of this.points.filter((point) => point.values)) {
      pen.fillStyle = this.ink(`--g${colour(group)}`);
      dot(pen, this.place(values), 4.5);
    }
    pen.globalAlpha = 1;
    const marked = this.points[this.at]?.values;
    if (!marked) return;
    circle(pen, this.place(marked), 9);
    Object.assign(pen, { strokeStyle: this.ink("--ink"), lineWidth: 2 }).stroke();
  }

  axes(pen, end) {
    const { x: middle, y: height, half } = this.view;
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = this.ink("--soft");
    pen.strokeStyle = this.ink("--rule");
    pen.lineWidth = 1;
    for (const v of ticks(middle - half, middle + half)) {
      const [x] = this.place([v, height]);
      line(pen, x, EDGE, x, end);
      pen.textAlign = "center";
      pen.fillText(number(v, 2), x, end + 18);
    }
    for (const v of ticks(height - half, height + half)) {
      const [, y] = this.place([middle, v]);
      line(pen, EDGE, y, end, y);
      pen.textAlign = "right";
      pen.fillText(number(v, 2), EDGE - 6, y + 4);
    }
  }
}

function circle(pen, [x, y], radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
}

function dot(pen, place, radius) {
  circle(pen, place, radius);
  pen.fill();
}

function line(pen, x0, y0, x1, y1) {
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}
