// Measures side by side: a dot with its interval for each model, between real data and a trivial generator.

import { drawn, h } from "./dom.js";
import { clamp } from "./fields.js";
import { given, known, number, t } from "./words.js";

const REACH = 1.6; // the trivial generator is drawn where it widens the scale by less than this

/**
 * Measures of verdicts, those of equal name, features, data and size together.
 * @param {object[]} verdicts As `Verdict.as_dict` gives them.
 * @returns {Array<{name, better, unit, floor, trivial, cells: Array<{run, value, low, high}>}>}
 */
export function together(verdicts) {
  const found = new Map();
  for (const verdict of verdicts) {
    for (const e of verdict.estimates ?? []) {
      const features = e.tag ? e.id.split("; ").slice(1).join("; ") : e.name === "copies" ? "" : e.id;
      const key = JSON.stringify([e.name, features, e.n, verdict.conditions?.split_fingerprint]);
      if (!found.has(key)) found.set(key, { ...e, cells: [] });
      const { value, low, high, tag } = e;
      found.get(key).cells.push({ run: verdict.run ?? verdict.name, value, low, high, tag });
    }
  }
  return [...found.values()];
}

/** The ends of a scale that holds every interval, the floor, and the trivial value where it is near. */
function scaleOf({ cells, floor, trivial }) {
  const values = cells.flatMap(({ low, high, value }) => [low, high, value]);
  if (given(floor)) values.push(floor);
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (given(trivial) && Math.max(high, trivial) - Math.min(low, trivial) < REACH * (high - low))
    [low, high] = [Math.min(low, trivial), Math.max(high, trivial)];
  const margin = 0.08 * (high - low) || 0.5;
  return [low - margin, high + margin];
}

/**
 * Who is best: the nearest to what is wanted, and all whose intervals reach into its own.
 * @returns {string[]} Names; all of them where no difference is shown.
 */
export function best({ cells, better, floor }) {
  const bad = ({ value }) =>
    better === "closer" ? Math.abs(value - (floor ?? 1)) : better === "lower" ? value : -value;
  const first = cells.reduce((a, b) => (bad(b) < bad(a) ? b : a));
  return cells.filter(({ low, high }) => low <= first.high && first.low <= high).map(({ run }) => run);
}

/** A measure as a small plot in a table, readable without the plot. */
export function whiskers(measure) {
  const [low, high] = scaleOf(measure);
  const at = (v) => `${(100 * clamp((v - low) / (high - low), 0, 1)).toFixed(2)}%`;
  const { name, better, cells, floor, trivial, n, unit } = measure;
  const winners = best(measure);
  const verdict =
    cells.length > 1 &&
    (winners.length === 1
      ? t("judge.best", { name: winners[0] })
      : t(winners.length === cells.length ? "judge.even" : "judge.some", { names: winners.join(", ") }));
  const off = trivial < low || trivial > high ? t("judge.off") : "";
  const marks = [
    given(floor) && mark("floor", t("judge.floor", { value: number(floor) })),
    given(trivial) && mark("trivial", `${t("judge.trivial", { value: number(trivial) })}${off}`),
  ];
  const heads = ["detail.model", "judge.value"].map((key) => h("th", { scope: "col" }, t(key)));
  const lines = cells.map((cell) => line(cell, { at, floor, trivial, low, high }));
  return h(
    "section.panel.measure",
    {},
    h("h3", {}, known("measure", name), unit && h("small", {}, ` ${unit}`)),
    h("p.soft", {}, known(`measure.${name}`, "plain", ""), " ", known("judge", better, "")),
    h(
      "table.whiskers",
      {},
      h("caption.hidden", {}, known("measure", name)),
      h("thead.hidden", {}, h("tr", {}, heads)),
      h("tbody", {}, lines),
    ),
    h("p.marks", {}, marks, h("span.soft", {}, t("judge.n", { n: number(n) }))),
    verdict && h("p.conclusion", { dir: "auto" }, verdict),
  );
}

const mark = (kind, text) => h("span.swatch", {}, h(`span.tick.${kind}`, { "aria-hidden": "true" }), text);

function line({ run, value, low: from, high: to, tag }, { at, floor, trivial, low, high }) {
  const inside = (v) => given(v) && v >= low && v <= high;
  const rule = (v, kind) => drawn("line", { x1: at(v), x2: at(v), y1: "0", y2: "100%", class: kind });
  return h(
    "tr",
    {},
    h("th", { scope: "row", dir: "auto" }, run),
    h(
      "td",
      {},
      drawn("svg", { class: "whisker", "aria-hidden": "true" }, [
        ...(inside(floor) ? [rule(floor, "floor")] : []),
        ...(inside(trivial) ? [rule(trivial, "trivial")] : []),
        drawn("line", { x1: at(from), x2: at(to), y1: "50%", y2: "50%", class: "span" }),
        drawn("circle", { cx: at(value), cy: "50%", r: 5 }),
      ]),
      h("strong", {}, number(value)),
      h("span.soft", {}, ` ${t("judge.interval", { low: number(from, 3), high: number(to, 3) })} ${tag || ""}`),
    ),
  );
}
