// How the server does: its figures in plain words, read again every few seconds.

import { isAbort, read } from "./api.js";
import { sizeOf } from "./data.js";
import { fill, h } from "./dom.js";
import { figures } from "./pieces.js";
import { duration, number, t } from "./words.js";

const LOOK_MS = 4000;
const LINE = /^(\w+)(?:\{(.*)\})? (\S+)$/;

/** Prometheus' text as rows. @returns {Array<{name: string, labels: object, value: number}>} */
function parse(text) {
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
function quantile(buckets, share) {
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
  const list = h("dl.figures");
  const node = h("section.panel.health", { "aria-label": t("health.title") }, h("h2", {}, t("health.title")), list);
  async function look() {
    if (signal.aborted) return;
    try {
      fill(list, told(parse(await read("/metrics", { signal }))));
    } catch (error) {
      if (isAbort(error)) return;
      fill(list, h("div", {}, h("dd", {}, error.message)));
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
    if (value === null) return t("health.none");
    return Number.isFinite(value) ? `\u2264 ${duration(value)}` : `> ${duration(60)}`;
  };
  return figures([
    ["health.waiting", number(of("genloom_requests_waiting"))],
    ["health.running", number(of("genloom_requests_running"))],
    ["health.jobs", number(of("genloom_jobs", { state: "queued" }) + of("genloom_jobs", { state: "running" }))],
    ["health.workers", number(workers.length)],
    ["health.deaths", number(of("genloom_deaths_total"))],
    ["health.rejected", number(of("genloom_rejected_total"))],
    ["forecast.memory", sizeOf(processes.reduce((sum, { value }) => sum + value, 0))],
    ["health.half", time(0.5)],
    ["health.most", time(0.95)],
  ]);
}
