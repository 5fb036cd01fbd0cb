// How the server does: its figures in plain words, read again every few seconds.

import { isAbort, request } from "./api.js";
import { sizeOf } from "./data.js";
import { fill, h } from "./dom.js";
import { duration, number, t } from "./words.js";

const LOOK_MS = 4000;
const LINE = /^(\w+)(?:\{(.*)\})? (\S+)$/;

/** Prometheus' text as rows. @returns {Array<{name: string, labels: object, value: number}>} */
export function parse(text) {
  const rows = [];
  for (const line of text.split("\n")) {
    const found = line.startsWith("#") ? null : LINE.exec(line);
    if (!found) continue;
    const labels = Object.create(null);
    for (const [, key, value] of (found[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[key] = value;
    rows.push({ name: found[1], labels, value: Number(found[3].replace("Inf", "Infinity")) });
  }
  return rows;
}

/**
 * The value below which a share of a histogram lies, as the upper edge of its bucket.
 * @param {Array<[number, number]>} buckets (upper edge, how many up to it), rising.
 * @returns {number|null} Seconds; Infinity beyond the last edge; null where nothing was counted.
 */
export function quantile(buckets, share) {
  const total = buckets.at(-1)?.[1] ?? 0;
  return total ? buckets.find(([, count]) => count >= share * total)[0] : null;
}

/** Buckets of one route, or of all together. */
function bucketsOf(rows, chosen) {
  const sums = new Map();
  for (const { name, labels, value } of rows) {
    if (!name.endsWith("_seconds_bucket") || !chosen(labels)) continue;
    const edge = labels.le === "+Inf" ? Infinity : Number(labels.le);
    sums.set(edge, (sums.get(edge) ?? 0) + value);
  }
  return [...sums].sort(([a], [b]) => a - b);
}

const generations = ({ route }) => /\/v1\/(generations|images|completions)/.test(route ?? "");

/** The panel. @param {AbortSignal} signal Ends the looking. */
export function health(signal) {
  const figures = h("dl.figures");
  const node = h("section.panel.health", { "aria-label": t("health.title") }, h("h2", {}, t("health.title")), figures);
  async function look() {
    if (signal.aborted) return;
    try {
      const text = await (await request("GET", "/metrics", undefined, { signal })).text();
      fill(figures, told(parse(text)));
    } catch (error) {
      if (isAbort(error)) return;
      fill(figures, h("div", {}, h("dd", {}, error.message)));
    }
    setTimeout(look, LOOK_MS);
  }
  look();
  return node;
}

function told(rows) {
  const of = (name, labels = {}) =>
    rows
      .filter((row) => row.name === name && Object.entries(labels).every(([k, v]) => row.labels[k] === v))
      .reduce((sum, { value }) => sum + value, 0);
  const processes = rows.filter(({ name }) => name === "genloom_resident_bytes");
  const workers = processes.filter(({ labels }) => labels.name?.startsWith("worker"));
  const buckets = bucketsOf(rows, generations);
  const time = (share) => {
    const value = quantile(buckets, share);
    return value === null
      ? t("health.none")
      : Number.isFinite(value)
        ? `\u2264 ${duration(value)}`
        : `> ${duration(60)}`;
  };
  const figures = [
    ["health.waiting", number(of("genloom_requests_waiting"))],
    ["health.running", number(of("genloom_requests_running"))],
    ["health.jobs", number(of("genloom_jobs", { state: "queued" }) + of("genloom_jobs", { state: "running" }))],
    ["health.workers", number(workers.length)],
    ["health.deaths", number(of("genloom_deaths_total"))],
    ["health.rejected", number(of("genloom_rejected_total"))],
    ["health.memory", sizeOf(processes.reduce((sum, { value }) => sum + value, 0))],
    ["health.half", time(0.5)],
    ["health.most", time(0.95)],
  ];
  return figures.map(([key, value]) => h("div", {}, h("dt", {}, t(key)), h("dd", {}, value)));
}
