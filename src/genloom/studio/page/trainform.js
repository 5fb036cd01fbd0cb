// The form that starts a training, with a forecast beside its budget.

import { isAbort, post } from "./api.js";
import { dataField, sizeOf } from "./data.js";
import { button, fill, h, toast } from "./dom.js";
import { chips, choicesOf, field, folding, nameInput, numberField, toggle } from "./fields.js";
import { finished, reasonOf } from "./follow.js";
import { figures, once } from "./pieces.js";
import { duration, number, t } from "./words.js";

const FAMILIES = ["flow", "gan", "vae", "diffusion", "autoregressive"];
const READERS = ["flow", "diffusion", "autoregressive"]; // of captions
const NAME = "[a-z0-9][a-z0-9._\\-]{0,62}";
const WAIT_MS = 900; // after the last change, before a rehearsal is asked for

/** @param {(job: object) => void} started Gets the new job. */
export function trainForm(started, signal) {
  const name = nameField();
  const guess = forecast(signal);
  const changed = () => {
    const reads = READERS.includes(family.value());
    learn.node.hidden = !data.captions() || !reads;
    unread.hidden = !data.captions() || reads;
    name.suggest(data.name(), family.value());
    guess.ask({ ...wanted(), minutes: minutes.value() });
  };
  const data = dataField(() => changed(), signal);
  const family = chips({
    name: t("train.family"),
    start: FAMILIES[0],
    kind: ".column",
    onchange: changed,
    choices: choicesOf("train", FAMILIES),
  });
  const learn = toggle({ name: t("train.captions"), hint: t("train.captions.hint"), start: true });
  learn.node.addEventListener("change", changed);
  const unread = h("p.hint", {}, t("train.captions.not"));
  const minutes = numberField({ name: t("train.minutes"), low: 0.5, high: 240, start: 5, onchange: changed });
  const go = button("train", t("train.go"), () => start(), { kind: ".primary" });
  const fields = [data.nodes, family.node, learn.node, unread, minutes.node, guess.node, name.node];
  const form = folding(t("train.title"), fields, go);
  changed();

  function wanted() {
    const reads = !learn.node.hidden && learn.value();
    return { data: data.value(), family: family.value(), ...(reads && { settings: { "data.captions": true } }) };
  }
  async function start() {
    if (!data.value()) toast(t("train.nofile"), { bad: true });
    if (!data.value() || !name.input.reportValidity()) return;
    guess.stop();
    const body = { ...wanted(), minutes: minutes.value() ?? 5, name: name.input.value };
    await once(go, async () => {
      started(await post("/v1/jobs", { kind: "train", body }));
      toast(t("train.started"));
      form.done();
    });
  }
  return form.node;
}

/** What a training would come to: asked for a while after the last change, by a rehearsal on the server. */
function forecast(signal) {
  const node = h("div.forecast", { role: "status" });
  let timer = null;
  let asked = null;
  signal.addEventListener("abort", () => stop());
  function stop() {
    clearTimeout(timer);
    asked?.abort();
  }
  async function rehearse(body) {
    const own = (asked = new AbortController());
    fill(node, h("p.soft", {}, t("forecast.working")));
    try {
      const job = await finished("forecast", body, own.signal, ({ state, ahead }) => {
        if (state === "queued" && ahead > 0) fill(node, h("p.soft", {}, t("forecast.queued", { ahead })));
      });
      fill(node, job.state === "succeeded" ? told(job.result) : h("p.failure", { dir: "auto" }, reasonOf(job)));
    } catch (error) {
      if (!isAbort(error)) fill(node, h("p.soft", {}, error.message));
    }
  }
  return {
    node,
    stop,
    ask(body) {
      stop();
      fill(node);
      if (body.data && body.minutes > 0) timer = setTimeout(() => rehearse(body), WAIT_MS);
    },
  };
}

function told({ steps, seconds, memory_bytes: memory, disk_bytes: disk }) {
  const rows = [
    ["option.steps", number(steps, 3)],
    ["forecast.time", duration(seconds)],
    ["forecast.memory", sizeOf(memory)],
    ["forecast.disk", sizeOf(disk)],
  ];
  return [h("p.name", {}, t("job.forecast")), h("dl.figures", {}, figures(rows))];
}

/** The name of the model: suggested until the reader writes one. */
function nameField() {
  let written = false;
  const note = () => (written = input.value !== "");
  const input = nameInput(63, NAME, { input: note });
  const suggest = (data, family) => {
    if (!written) input.value = suggestion(data, family);
  };
  return { node: field(t("train.name"), t("train.name.hint"), input), input, suggest };
}

/** A name that says what it is, in letters that a folder may have. */
function suggestion(data, family) {
  const plain = data.toLowerCase().replace(/[^a-z0-9._-]+/g, "-");
  return `${plain.replace(/^[^a-z0-9]+/, "") || "my"}-${family}`.slice(0, 63);
}
