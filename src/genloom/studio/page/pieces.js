// Pieces that more than one view shows, and what is done about an error in all of them.

import { isAbort, read, url } from "./api.js";
import { fill, h, icon, toast } from "./dom.js";
import { ended } from "./follow.js";
import { known, t } from "./words.js";

/** The head of a view: its name, and what it is for. */
export const head = (name, ...more) => [
  h("h1", { tabindex: -1 }, t(`nav.${name}`)),
  h("p.lead", {}, t(`${name}.lead`), more),
];

/** An empty place: a sign, what is missing, and what to do about it. */
export function nothing(sign, name, ...more) {
  const hint = known(name, "hint", null);
  return h("div.nothing", {}, icon(sign), h("h2", {}, t(name)), hint && h("p", {}, hint), more);
}

/** What went wrong, in the place of what was wanted. */
export const trouble = (...content) => h("div.nothing.bad", { role: "alert" }, content);

/** The words of a failure where its result would be; nothing for a cancelled run. */
export function failed(place, error) {
  if (!isAbort(error)) fill(place, h("p.failure", { role: "alert" }, error.message));
}

/** The words of a failure as a notice; nothing for a cancelled run. */
export function complain(error) {
  if (!isAbort(error)) toast(error.message, { bad: true });
}

/** Do what a button asks for, once at a time. */
export async function once(go, act) {
  go.disabled = true;
  await act().catch(complain);
  go.disabled = false;
}

/** A link that looks like a button. */
export const link = (href, sign, name, more) => h("a.button", { href, ...more }, icon(sign), h("span", {}, name));

/** The file of a report, to keep. */
export const reportLink = (id) =>
  link(url`/v1/files/${id}/content`, "down", t("job.report"), { download: "report.html" });

/** Figures with their names, for a list of them. */
export const figures = (rows) => rows.map(([key, value]) => h("div", {}, h("dt", {}, t(key)), h("dd", {}, value)));

/** Facts of a record. */
export const record = (rows) =>
  h(
    "dl.record",
    {},
    rows.map(([name, value]) => [h("dt", {}, name), h("dd", { dir: "auto" }, String(value))]),
  );

/** The state of a job. */
export function badge(job) {
  const over = ended(job);
  const state = job.cancelling && !over ? "cancelling" : job.state;
  return h(`span.badge.${over || job.state === "running" ? job.state : "queued"}`, {}, known("job", state));
}

/** An element that a text is fetched into. @param {string} otherwise Told in the place of what went wrong. */
export function fetched(element, path, options, otherwise) {
  read(path, options)
    .then((text) => fill(element, text))
    .catch((error) => isAbort(error) || fill(element, otherwise ?? error.message));
  return element;
}
