// Explore: from one seed to another, and how one of them comes about, as films.

import { isAbort, post } from "./api.js";
import { announce, button, fill, h } from "./dom.js";
import { chips, numberField } from "./fields.js";
import { Film, frames, pictureFrame, pointFrame, textFrame } from "./film.js";
import { isSeen, isSmall, schemaOf } from "./models.js";
import { generate, pointOf } from "./run.js";
import { roll, seedBox } from "./seed.js";
import { number, t } from "./words.js";

const FRAMES = 9;
const MOST_PIECES = 24; // frames of a text that is being written

/** A label to ask for, where the model has classes. */
export async function labelField(model, onchange) {
  const { label } = (await schemaOf(model.id)).properties ?? {};
  if (!label?.enum?.length) return null;
  const choices = [
    { value: null, text: t("make.any") },
    ...label.enum.map((value) => ({ value, text: String(value) })),
  ];
  return chips({
    name: t("make.class"),
    start: label.enum[0],
    kind: choices.length > 24 ? ".scroll" : "",
    choices,
    onchange,
  });
}

/** The words of a failure where the film would be; nothing for a cancelled run. */
export function failed(place, error) {
  if (!isAbort(error)) fill(place, h("p.failure", { role: "alert" }, error.message));
}

/** A button that runs one piece of work at a time and can be pressed again to stop it. */
export function worker(sign, name, work, signal) {
  let running = null;
  const status = h("div", { role: "status" });
  const go = button(sign, name, () => (running ? running.abort() : start()), { kind: ".primary.go" });
  async function start() {
    const own = (running = new AbortController());
    const leave = () => own.abort();
    signal.addEventListener("abort", leave);
    go.querySelector("span").textContent = t("make.stop");
    go.classList.add("busy");
    fill(status);
    try {
      await work(own.signal);
    } catch (error) {
      failed(status, error);
    }
    signal.removeEventListener("abort", leave);
    running = null;
    go.querySelector("span").textContent = name;
    go.classList.remove("busy");
  }
  return { node: h("div.launch", {}, go, status), start, stop: () => running?.abort() };
}

/** Outputs with the values of points beside their records. */
export async function whole(model, data, signal) {
  if (model.kind !== "points") return data;
  return Promise.all(
    data.map(async (item) => (isSeen(item) ? { ...item, values: await pointOf(item.id, signal) } : item)),
  );
}

/** The walk between two seeds. @returns {Promise<{form: Element, stage: Element}>} */
export async function walk(model, signal) {
  const from = seedBox(t("explore.from"), roll());
  const to = seedBox(t("explore.to"), roll());
  const many = numberField({ name: t("explore.frames"), low: 3, high: 33, whole: true, start: FRAMES });
  const label = await labelField(model);
  const film = new Film({ name: t("explore.walk") });
  const note = h("p.soft.note", {}, t("explore.walk.hint"));
  const go = worker(
    "walk",
    t("explore.go"),
    async (stop) => {
      const n = Math.min(33, Math.max(3, Math.round(many.value() ?? FRAMES)));
      const mix = Array.from({ length: n }, (_, i) => Number((i / (n - 1)).toFixed(4)));
      const asked = { model: model.id, seed: from.value(), toward: to.value(), mix };
      if (label && label.value() !== null) asked.label = String(label.value());
      const { data } = await post("/v1/generations", asked, { signal: stop });
      const share = (i) => t("explore.at", { share: number(100 * mix[i], 3), from: asked.seed, to: asked.toward });
      note.hidden = true;
      film.set(frames(model, await whole(model, data, stop), share));
      announce(t("explore.done", { n }));
    },
    signal,
  );
  go.start();
  return {
    form: h("div.fields", {}, from.node, to.node, many.node, label?.node, go.node),
    stage: h("div", {}, film.node, note),
  };
}

/** How one sample comes about: the guesses on the way, or the text as it is written. */
export async function making(model, signal) {
  const seed = seedBox(t("make.seed"), roll());
  const label = await labelField(model);
  const film = new Film({ name: t("explore.making") });
  const note = h("p.soft.note", {}, t("explore.making.hint"));
  const go = worker("make", t("explore.watch"), (stop) => watch(model, { seed, label, film, note }, stop), signal);
  go.start();
  return {
    form: h("div.fields", {}, seed.node, label?.node, go.node),
    stage: h("div", {}, film.node, note),
  };
}

async function watch(model, { seed, label, film, note }, signal) {
  const body = { model: model.id, n: 1, seed: seed.value(), options: {} };
  if (label && label.value() !== null) body.label = String(label.value());
  const guesses = [];
  let told = "";
  film.at = 0;
  film.set([]);
  note.hidden = true;
  const hear = {
    preview: (step, [shown]) => {
      if (!shown) return;
      guesses.push({ ...shown, text: t("make.step", { step: number(step) }) });
      film.set(guessed(model, guesses), { last: true });
    },
    text: (_, piece) => {
      told += piece;
      guesses.push({ told });
    },
  };
  const { data } = await generate(model, body, hear, signal);
  const last = frames(model, data, () => t("explore.end"));
  film.set([...(model.kind === "text" ? written(guesses) : guessed(model, guesses)), ...last], { last: true });
}

function guessed(model, guesses) {
  return guesses.map(({ src, values, text }) =>
    model.kind === "points"
      ? pointFrame([{ values, group: 0 }], guesses, text)
      : pictureFrame(src, text, isSmall(model)),
  );
}

/** A text on its way, in a few dozen steps at most. */
function written(guesses) {
  const stride = Math.ceil(guesses.length / MOST_PIECES) || 1;
  return guesses
    .filter((_, i) => i % stride === 0)
    .map(({ told }) => textFrame(told, t("explore.letters", { n: told.length })));
}
