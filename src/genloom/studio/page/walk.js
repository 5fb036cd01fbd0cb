// Explore: from one seed to another, and how one of them comes about, as films.

import { within } from "./api.js";
import { classes } from "./controls.js";
import { announce, button, fill, h } from "./dom.js";
import { numberField } from "./fields.js";
import { Film, frames, pictureFrame, pointFrame, textFrame } from "./film.js";
import { image, schemaOf } from "./models.js";
import { failed } from "./pieces.js";
import { generate, outputs } from "./run.js";
import { seedBox } from "./seed.js";
import { number, t } from "./words.js";

const FRAMES = 9;
const MOST_PIECES = 24; // frames of a text that is being written

/** A label to ask for, where the model has classes. */
export async function labelField(model, onchange) {
  const names = (await schemaOf(model.id)).properties?.label?.enum;
  return names?.length ? classes(names, names[0], onchange) : null;
}

/** A button that runs one piece of work at a time and can be pressed again to stop it; nothing is made before. */
export function worker(sign, name, work, signal) {
  let running = null;
  const status = h("div", { role: "status" });
  const go = button(sign, name, () => (running ? running.abort() : start()), { kind: ".primary.go" });
  async function start() {
    const own = (running = within(signal));
    go.querySelector("span").textContent = t("make.stop");
    go.classList.add("busy");
    fill(status);
    try {
      await work(own.signal);
    } catch (error) {
      failed(status, error);
    }
    running = null;
    go.querySelector("span").textContent = name;
    go.classList.remove("busy");
  }
  return h("div.launch", {}, go, status);
}

/** The walk between two seeds. @returns {Promise<{form: Element, stage: Element}>} */
export async function walk(model, signal) {
  const from = seedBox(t("explore.from"));
  const to = seedBox(t("explore.to"));
  const many = numberField({ name: t("explore.frames"), low: 3, high: 33, whole: true, start: FRAMES });
  const label = await labelField(model);
  const screen = cinema("walk");
  const go = worker(
    "walk",
    t("explore.go"),
    async (stop) => {
      const n = many.inside(FRAMES);
      const mix = Array.from({ length: n }, (_, i) => Number((i / (n - 1)).toFixed(4)));
      const asked = { seed: from.value(), toward: to.value(), mix, ...label?.body() };
      const made = await outputs(model, asked, stop);
      const share = (i) => t("explore.at", { share: number(100 * mix[i], 3), from: asked.seed, to: asked.toward });
      screen.note.hidden = true;
      screen.film.set(frames(model, made, share));
      announce(t("explore.done", { n }));
    },
    signal,
  );
  return { form: h("div.fields", {}, from.node, to.node, many.node, label?.node, go), stage: screen.node };
}

/** The place of a film, and what is said until there is one. */
function cinema(name) {
  const film = new Film({ name: t(`explore.${name}`) });
  const note = h("p.soft.note", {}, t(`explore.${name}.hint`));
  return { film, note, node: h("div", {}, film.node, note) };
}

/** How one sample comes about: the guesses on the way, or the text as it is written. */
export async function making(model, signal) {
  const seed = seedBox(t("detail.seed"));
  const label = await labelField(model);
  const screen = cinema("making");
  const body = () => ({ model: model.id, n: 1, seed: seed.value(), options: {}, ...label?.body() });
  const go = worker("make", t("explore.watch"), (stop) => watch(model, body(), screen, stop), signal);
  return { form: h("div.fields", {}, seed.node, label?.node, go), stage: screen.node };
}

async function watch(model, body, { film, note }, signal) {
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
      ? pointFrame({ values, group: 0 }, guesses, text)
      : pictureFrame((alt) => image(model, src, alt), text),
  );
}

/** A text on its way, in a few dozen steps at most. */
function written(guesses) {
  const stride = Math.ceil(guesses.length / MOST_PIECES) || 1;
  return guesses
    .filter((_, i) => i % stride === 0)
    .map(({ told }) => textFrame(told, t("explore.letters", { n: told.length })));
}
