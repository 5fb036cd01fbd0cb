// The form that starts a training.

import { post } from "../api.js";
import { button, h, toast } from "../dom.js";
import { chips, dropZone, field, folding, numberField } from "../fields.js";
import { number, t } from "../words.js";

const DATA = ["digits", "glyphs", "moons", "rings", "gaussians"];
const FAMILIES = ["flow", "gan", "vae", "diffusion", "autoregressive"];
const OWN = "";
const NAME = "[a-z0-9][a-z0-9._\\-]{0,62}";
const ENDINGS = ".zip,.npz,.txt,.csv,.parquet,.gz";

/** A file's size as people read it. */
const sizeOf = (bytes) => (bytes < 1e6 ? `${number(bytes / 1e3, 2)} kB` : `${number(bytes / 1e6, 3)} MB`);

/** @param {(job: object) => void} started Gets the new job. */
export function trainForm(started) {
  const name = nameField();
  const suggest = () => name.suggest(data.value() || (data.file()?.name ?? "").replace(/\.\w+$/, ""), family.value());
  const data = dataField(suggest);
  const family = chips({
    name: t("train.family"),
    start: FAMILIES[0],
    kind: ".column",
    onchange: suggest,
    choices: FAMILIES.map((value) => ({ value, text: t(`train.${value}`), hint: t(`train.${value}.hint`) })),
  });
  const minutes = numberField({ name: t("train.minutes"), low: 0.5, high: 240, start: 5 });
  const go = button("jobs", t("train.go"), () => start(), { kind: ".primary" });
  const form = folding(t("train.title"), [data.nodes, family.node, minutes.node, name.node], go);
  suggest();

  async function start() {
    const own = data.value() === OWN;
    if (own && !data.file()) toast(t("train.nofile"), { bad: true });
    if ((own && !data.file()) || !name.input.reportValidity()) return;
    go.disabled = true;
    try {
      const from = own ? await upload(data.file()) : data.value();
      const body = { data: from, family: family.value(), minutes: minutes.value() ?? 5, name: name.input.value };
      started(await post("/v1/jobs", { kind: "train", body }));
      toast(t("train.started"));
      form.done();
    } catch (error) {
      toast(error.message, { bad: true });
    }
    go.disabled = false;
  }
  return form.node;
}

/** What to learn from: a set that is built in, or the reader's own file. */
function dataField(changed) {
  let file = null;
  const zone = dropZone({
    text: t("train.drop"),
    accept: ENDINGS,
    took: (given) => {
      file = given;
      zone.say(t("train.chosen", { name: given.name, size: sizeOf(given.size) }));
      changed();
    },
  });
  const builtIn = DATA.map((value) => ({ value, text: t(`train.${value}`) }));
  const data = chips({
    name: t("train.data"),
    start: DATA[0],
    choices: [...builtIn, { value: OWN, text: t("train.own") }],
    onchange: (value) => {
      zone.node.hidden = value !== OWN;
      changed();
    },
  });
  zone.node.hidden = true;
  return { nodes: [data.node, zone.node], value: data.value, file: () => file };
}

/** The name of the model: suggested until the reader writes one. */
function nameField() {
  let written = false;
  const note = () => (written = input.value !== "");
  const asked = {
    type: "text",
    maxlength: 63,
    pattern: NAME,
    required: true,
    autocomplete: "off",
    spellcheck: "false",
  };
  const input = h("input", { ...asked, on: { input: note } });
  const suggest = (data, family) => {
    if (!written) input.value = suggestion(data, family);
  };
  return { node: field(t("train.name"), t("train.name.hint"), input), input, suggest };
}

/** Send the reader's own data. @returns {Promise<string>} Its id. */
async function upload(file) {
  toast(t("train.uploading"));
  const form = new FormData();
  form.append("purpose", "fine-tune");
  form.append("file", file);
  return (await post("/v1/files", form)).id;
}

/** A name that says what it is, in letters that a folder may have. */
function suggestion(data, family) {
  const plain = data.toLowerCase().replace(/[^a-z0-9._-]+/g, "-");
  return `${plain.replace(/^[^a-z0-9]+/, "") || "my"}-${family}`.slice(0, 63);
}
