// What to learn from: a built-in set, or the reader's own file or folder, looked through before it is used.

import { post, within } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { chips, choicesOf, dropZone } from "./fields.js";
import { finished, reasonOf } from "./follow.js";
import { failed } from "./pieces.js";
import { joined, known, number, t } from "./words.js";
import { dropped, MOST_BYTES, MOST_FILES, tidy, zip } from "./zip.js";

const DATA = ["digits", "glyphs", "factors", "moons", "rings", "gaussians"];
const OWN = "";
const ENDINGS = ".zip,.npz,.txt,.parquet,.gz,.mid,.midi,.jsonl,.ndjson,.json,.csv,.tsv,.smi";
const MOST_FOUND = 8; // findings that are shown before the rest is folded away

/** A file's size as people read it. */
export function sizeOf(bytes) {
  if (bytes < 1e3) return `${number(bytes)} B`;
  if (bytes < 1e6) return `${number(bytes / 1e3, 2)} kB`;
  return bytes < 1e9 ? `${number(bytes / 1e6, 3)} MB` : `${number(bytes / 1e9, 3)} GB`;
}

/**
 * @param {() => void} changed
 * @returns {{nodes, value: () => string|null, name: () => string, captions: () => number}}
 */
export function dataField(changed, signal) {
  const own = { id: null, name: "", captions: 0 };
  const told = h("div.survey", { role: "status" });
  let looking = null;
  const source = () => (chosen.value() === OWN ? own.id : chosen.value());

  async function look() {
    looking?.abort();
    const stop = (looking = within(signal));
    fill(told);
    own.captions = 0;
    changed();
    if (chosen.value() !== OWN || !own.id) return;
    fill(told, h("p.soft", {}, t("survey.working")));
    try {
      const job = await finished("survey", { data: own.id }, stop.signal);
      fill(told, job.state === "succeeded" ? survey(job.result) : h("p.failure", { dir: "auto" }, reasonOf(job)));
      own.captions = Number(job.result?.captions) || 0;
      if (own.captions) changed();
    } catch (error) {
      failed(told, error);
    }
  }
  const zone = dropPlace(async (file, name) => {
    Object.assign(own, { id: null, name, captions: 0 });
    changed();
    fill(told, h("p.soft", {}, t("train.uploading")));
    try {
      own.id = await upload(file, signal);
      await look();
    } catch (error) {
      failed(told, error);
    }
  });
  const chosen = chips({
    name: t("train.data"),
    start: DATA[0],
    choices: [...choicesOf("train", DATA), { value: OWN, text: t("train.own") }],
    onchange: (value) => {
      zone.hidden = value !== OWN;
      look();
    },
  });
  zone.hidden = true;
  return {
    nodes: [chosen.node, zone, told],
    value: source,
    name: () => (chosen.value() === OWN ? own.name.replace(/\.\w+$/, "") : chosen.value()),
    captions: () => (chosen.value() === OWN ? own.captions : 0),
  };
}

/** A place for a file, a zip or a folder. */
function dropPlace(took) {
  const listed = (files) => [...files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
  const { node, say } = dropZone({
    text: t("train.drop"),
    accept: ENDINGS,
    took: (file) => take(listed([file])),
    dropped: async ({ items }) => take(await dropped(items)),
  });
  const folder = h("input", { type: "file", webkitdirectory: true, "aria-label": t("train.folder") });
  const pick = h("label.button.filing", {}, folder, icon("folder"), h("span", {}, t("train.folder")));

  async function take(entries) {
    try {
      const { file, name, told } = await oneFile(entries, say);
      say(told);
      await took(file, name);
    } catch (error) {
      say(error.message);
    }
  }
  folder.addEventListener("change", () => folder.files.length && take(listed(folder.files)));
  return h("div.dropping", {}, node, pick);
}

/** What was given, as the one file that is sent: itself, or a zip of all of it. */
async function oneFile(given, say) {
  if (given.length === 1 && !given[0].path.includes("/")) {
    const [{ file }] = given;
    return { file, name: file.name, told: t("train.chosen", { name: file.name, size: sizeOf(file.size) }) };
  }
  const { name, entries } = tidy(given);
  const bytes = entries.reduce((sum, { file }) => sum + file.size, 0);
  if (!entries.length) throw new Error(t("train.empty"));
  if (entries.length > MOST_FILES || bytes > MOST_BYTES)
    throw new Error(t("train.much", { n: number(entries.length), size: sizeOf(bytes) }));
  const n = entries.length;
  const blob = await zip(entries, (done) => done % 50 || say(t("train.packing", { done, n })));
  const file = new File([blob], `${name || "files"}.zip`, { type: "application/zip" });
  return { file, name: file.name, told: t("train.packed", { name: name || t("train.own"), n, size: sizeOf(bytes) }) };
}

/** Send the reader's own data. @returns {Promise<string>} Its id. */
async function upload(file, signal) {
  const form = new FormData();
  form.append("purpose", "fine-tune");
  form.append("file", file);
  return (await post("/v1/files", form, { signal })).id;
}

/** What was read, and what was left out and why. */
function survey({ read, quarantined, findings = [], kind, shape, classes = [], duplicates, splits = {}, ...more }) {
  const { captions, problem } = more;
  const rows = findings.map(({ file, reason, kept }) =>
    h("li", { dir: "auto" }, h("code", {}, String(file)), ` ${reason}`, kept && h("em", {}, ` ${t("survey.kept")}`)),
  );
  const most = Math.max(1, ...classes.map(({ count }) => count));
  const bars = h("dl.bars", {}, classes.map(({ name, count }) => bar(name, count, most)));
  const parts = Object.entries(splits).map(([name, n]) => `${known("split", name)} ${number(n)}`);
  const about = joined(
    kind && known("kind", kind),
    shape?.length && shape.join(" \u00d7 "),
    parts.join(", "),
    captions > 0 && t("survey.captions", { n: number(captions) }),
    duplicates > 0 && t("survey.duplicates", { n: duplicates }),
  );
  const folded = (open, name, content) => h("details", { open }, h("summary", {}, name), content);
  return h(
    "div.fields",
    {},
    h("p.tally", {}, icon("tick"), h("strong", {}, t("survey.read", { n: number(read) }))),
    h("p.soft", {}, about),
    quarantined > 0 && h("p.tally.out", {}, icon("held"), h("strong", {}, t("survey.out", { n: number(quarantined) }))),
    problem && h("p.failure", { dir: "auto" }, String(problem)),
    rows.length > 0 && h("ul.findings", {}, rows.slice(0, MOST_FOUND)),
    rows.length > MOST_FOUND &&
      folded(false, t("survey.more", { n: rows.length - MOST_FOUND }), h("ul.findings", {}, rows.slice(MOST_FOUND))),
    classes.length > 0 && folded(classes.length <= 12, t("model.classes", { n: classes.length }), bars),
  );
}

function bar(name, count, most) {
  const rod = h("meter", { min: 0, max: most, value: count, "aria-label": String(name) });
  return [h("dt", { dir: "auto" }, String(name)), h("dd", {}, rod, h("span", {}, number(count)))];
}
