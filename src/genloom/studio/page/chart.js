// The curves of a training: a small chart for each figure, on a scale of its own.

import { drawn, h } from "./dom.js";
import { known, number, t } from "./words.js";

const [WIDTH, HEIGHT, EDGE] = [300, 96, 4];
const SPAN = 50; // from this ratio on, positive values are drawn by their logarithm
const FIRST = 4; // charts that are shown before the rest is folded away
const QUIET = ["seconds", "items_per_s"]; // bookkeeping: told at the end

/** A line through points, as a path; values that are not finite break it. */
function pathOf(points, log) {
  const usable = points.filter(([, y]) => Number.isFinite(y));
  const at = log ? Math.log : (y) => y;
  const ys = usable.map(([, y]) => at(y));
  const [x0, x1] = [usable[0][0], usable.at(-1)[0]];
  const [y0, y1] = [Math.min(...ys), Math.max(...ys)];
  const place = ([x, y]) => [
    EDGE + ((WIDTH - 2 * EDGE) * (x - x0)) / (x1 - x0 || 1),
    HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * (y1 > y0 ? (at(y) - y0) / (y1 - y0) : 0.5),
  ];
  const piece = (point, i) => {
    if (!Number.isFinite(point[1])) return "";
    const [x, y] = place(point);
    return `${Number.isFinite(points[i - 1]?.[1]) ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
  };
  return points.map(piece).join("");
}

function chart([name, points]) {
  const usable = points.filter(([, y]) => Number.isFinite(y));
  if (!usable.length) return null;
  const ys = usable.map(([, y]) => y);
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  const log = low > 0 && high / low >= SPAN;
  const title = known("curve", name);
  const told = t("curve.told", {
    name: title,
    first: number(ys[0]),
    last: number(ys.at(-1)),
    step: number(usable.at(-1)[0]),
  });
  const line = drawn("path", { d: pathOf(points, log), class: "curve", "vector-effect": "non-scaling-stroke" });
  const box = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": told };
  const range = [h("span", {}, `${number(low, 3)} \u2026 ${number(high, 3)}`), log && h("span", {}, t("curve.log"))];
  return h(
    "figure.chart",
    {},
    h("figcaption", {}, h("span", {}, title), h("strong", {}, number(ys.at(-1)))),
    drawn("svg", box, [line]),
    h("p.range", { "aria-hidden": "true" }, range),
  );
}

const quiet = (name) => QUIET.includes(name) || name.startsWith("health/");

/** Charts of all series. @param {Object<string, Array<[number, number]>>} series @param {boolean} open Whether the rest was unfolded. */
export function charts(series, open = false) {
  const all = Object.entries(series).sort(([a], [b]) => quiet(a) - quiet(b));
  const made = all.map(chart).filter(Boolean);
  const rest = made.slice(FIRST);
  return [
    h("div.charts", {}, made.slice(0, FIRST)),
    rest.length > 0 &&
      h("details.rest", { open }, h("summary", {}, t("curve.more", { n: rest.length })), h("div.charts", {}, rest)),
  ];
}
