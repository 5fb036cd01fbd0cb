// What to learn from: a built-in set, or the reader's own file or folder, looked through before it is used.

import { isAbort, post } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { chips } from "./fields.js";
import { finished, reasonOf } from "./follow.js";
import { known, number, t } from "./words.js";
import { dropped, MOST_BYTES, MOST_FILES, tidy, zip } from "./zip.js";

const DATA = ["digits", "glyphs", "factors", "moons", "rings", "gaussians"];
const OWN = "";
const ENDINGS = ".zip,.npz,.txt,.csv,.parquet,.gz";
const MOST_FOUND = 8; // findings that are shown before the rest is folded away

/** A file's size as people read it. */
export function sizeOf(bytes) {
  if (bytes < 1e3) return `${number(bytes)} B`;
  if (bytes < 1e6) return `${number(bytes / 1e3, 2)} kB`;
  return bytes < 1e9 ? `${number(bytes / 1e6, 3)} MB` : `${number(bytes / 1e9, 3)} GB`;
}

/** @param {() => void} changed @returns {{nodes, value: () => string|null, name: () => string}} */
export function dataField(changed, signal) {
  const own = { id: null, name: "" };
  const told = h("div.survey", { role: "status" });
  let looking = new AbortController();
  const source = () => (chosen.value() === OWN ? own.id : chosen.value());

  async function look() {
    looking.abort();
    const stop = (looking = new AbortController());
    signal.addEventListener("abort", () => stop.abort(), { once: true });
    fill(told);
    changed();
    if (chosen.value() !== OWN || !own.id) return;
    fill(told, h("p.soft", {}, t("survey.working")));
    try {
      const job = await finished("survey", { data: own.id }, stop.signal);
      fill(told, job.state === "succeeded" ? survey(job.result) : h("p.failure", { dir: "auto" }, reasonOf(job)));
    } catch (error) {
      if (!isAbort(error)) fill(told, h("p.failure", { role: "alert" }, error.message));
    }
  }
  const zone = dropPlace(async (file, name) => {
    Object.assign(own, { id: null, name });
    changed();
    fill(told, h("p.soft", {}, t("train.uploading")));
    try {
      own.id = await upload(file, signal);
      await look();
    } catch (error) {
      if (!isAbort(error)) fill(told, h("p.failure", { role: "alert" }, error.message));
    }
  });
  const chosen = chips({
    name: t("train.data"),
    start: DATA[0],
    choices: [...DATA.map((value) => ({ value, text: t(`train.${value}`) })), { value: OWN, text: t("train.own") }],
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
  };
}

/** A place for a file, a zip or a folder. */
function dropPlace(took) {
  const words = h("span", {}, t("train.drop"));
  const input = h("input", { type: "file", accept: ENDINGS });
  const folder = h("input", { type: "file", webkitdirectory: true, "aria-label": t("train.folder") });
  const zone = h("label.drop", {}, input, icon("upload"), words);
  const pick = h("label.button.filing", {}, folder, icon("folder"), h("span", {}, t("train.folder")));
  const say = (text) => fill(words, text);

  async function take(entries) {
    try {
      const { file, name, told } = await oneFile(entries, say);
      say(told);
      await took(file, name);
    } catch (error) {
      say(error.message);
    }
  }
  const listed = (files) => [...files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
  input.addEventListener("change", () => input.files.length && take(listed(input.files)));
  folder.addEventListener("change", () => folder.files.length && take(listed(folder.files)));
  const over = (on) => (event) => {
    event.preventDefault();
    zone.classList.toggle("over", on);
  };
  zone.addEventListener("dragover", over(true));
  zone.addEventListener("dragleave", over(false));
  zone.addEventListener("drop", async (event) => {
    over(false)(event);
    take(await dropped(event.dataTransfer.items));
  });
  return h("div.dropping", {}, zone, pick);
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
function survey({ read, quarantined, findings = [], kind, shape, classes = [], duplicates, splits = {}, problem }) {
  const rows = findings.map(({ file, reason, kept }) =>
    h("li", { dir: "auto" }, h("code", {}, String(file)), ` ${reason}`, kept && h("em", {}, ` ${t("survey.kept")}`)),
  );
  const most = Math.max(1, ...classes.map(({ count }) => count));
  const about = [
    known(`kind.${kind}`, kind),
    shape?.length && shape.join(" \u00d7 "),
    Object.entries(splits)
      .map(([name, n]) => `${known(`split.${name}`, name)} ${number(n)}`)
      .join(", "),
    duplicates > 0 && t("survey.duplicates", { n: duplicates }),
  ];
  return h(
    "div.fields",
    {},
    h("p.tally", {}, icon("tick"), h("strong", {}, t("survey.read", { n: number(read) }))),
    h("p.soft", {}, about.filter(Boolean).join(" \u00b7 ")),
    quarantined > 0 && h("p.tally.out", {}, icon("held"), h("strong", {}, t("survey.out", { n: number(quarantined) }))),
    problem && h("p.failure", { dir: "auto" }, String(problem)),
    rows.length > 0 && h("ul.findings", {}, rows.slice(0, MOST_FOUND)),
    rows.length > MOST_FOUND &&
      h(
        "details",
        {},
        h("summary", {}, t("survey.more", { n: rows.length - MOST_FOUND })),
        h("ul.findings", {}, rows.slice(MOST_FOUND)),
      ),
    classes.length > 0 &&
      h(
        "details",
        { open: classes.length <= 12 },
        h("summary", {}, t("model.classes", { n: classes.length })),
        h(
          "dl.bars",
          {},
          classes.map(({ name, count }) => bar(name, count, most)),
        ),
      ),
  );
}

function bar(name, count, most) {
  const rod = h("meter", { min: 0, max: most, value: count, "aria-label": String(name) });
  return [h("dt", { dir: "auto" }, String(name)), h("dd", {}, rod, h("span", {}, number(count)))];
}
