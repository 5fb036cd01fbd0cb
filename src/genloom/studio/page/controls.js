// The controls of a model, made from the JSON schema of its options.

import { button, fill, h, icon } from "./dom.js";
import { chips, field, numberField, select, toggle } from "./fields.js";
import { originalField } from "./original.js";
import { roll, seedIn, seedInput } from "./seed.js";
import { promptTune, sourceTune } from "./tune.js";
import { known, t } from "./words.js";

const START = { image: 16, points: 32, text: 3 };
const SHOWN = { music: "wav", molecule: "svg" }; // a page plays no MIDI and draws no SMILES
const MANY = 24; // classes, from which on a search helps

/** A control for one option of the schema. */
function option(name, schema, given) {
  const types = [schema.type].flat();
  const start = given ?? schema.default ?? null;
  const told = { name: known("option", name), hint: known("hint", name, null), start };
  if (schema.enum) return select({ ...told, choices: schema.enum });
  if (types.includes("boolean")) return toggle(told);
  if (types.includes("integer") || types.includes("number")) {
    return numberField({ ...told, low: schema.minimum, high: schema.maximum, whole: types.includes("integer") });
  }
  const input = h("input", { type: "text", value: start ?? "" });
  return {
    node: field(told.name, told.hint, input),
    value: () => input.value || null,
    set: (v) => {
      input.value = v ?? "";
    },
  };
}

/** Classes as chips, with a search where they are many; `body` is what a generation is told of the chosen one. */
export function classes(names, start, onchange) {
  const list = chips({
    name: t("make.class"),
    start,
    onchange,
    kind: names.length > MANY ? ".scroll" : "",
    choices: [{ value: null, text: t("make.any") }, ...names.map((value) => ({ value, text: String(value) }))],
  });
  if (names.length > MANY) {
    const look = () => {
      const word = find.value.trim().toLowerCase();
      list.all.slice(1).forEach((chip, i) => {
        chip.hidden = !String(names[i]).toLowerCase().includes(word);
      });
    };
    const told = { placeholder: t("make.find"), "aria-label": t("make.find") };
    const find = h("input", { type: "search", ...told, on: { input: look } });
    list.node.querySelector("legend").after(find);
  }
  return { ...list, body: () => (list.value() === null ? {} : { label: String(list.value()) }) };
}

/** The seed: free until it is typed, rolled or locked. */
function seedField(given) {
  const box = seedInput({
    placeholder: t("make.seed.any"),
    value: given.seed ?? "",
    on: { input: () => hold(box.value !== "") },
  });
  const held = () => lock.getAttribute("aria-pressed") === "true";
  const lock = button("open", t("make.lock"), () => hold(!held()), {
    bare: true,
    kind: ".toggle",
    "aria-pressed": "false",
  });
  function hold(on) {
    if (on && box.value === "") box.value = roll();
    lock.setAttribute("aria-pressed", String(on));
    lock.title = t(on ? "make.unlock" : "make.lock");
    fill(lock, icon(on ? "locked" : "open"));
  }
  const set = (seed) => {
    box.value = seed;
    hold(true);
  };
  const dice = button("dice", t("make.dice"), () => set(roll()), { bare: true });
  hold(given.locked ?? false);
  return {
    node: field(t("detail.seed"), t("make.seed.hint"), box, h("div.tools", {}, lock, dice)),
    body: () => (held() ? { seed: seedIn(box) } : {}),
    show: (seed) => {
      box.value = seed;
    },
    draft: () => ({ seed: box.value, locked: held() }),
  };
}

/** The options of the sampler, folded away on a phone. */
function fineTuning(properties, given = {}) {
  const fields = Object.entries(properties).map(([name, schema]) => ({
    name,
    control: option(name, schema, given[name]),
    start: schema.default ?? null,
  }));
  const reset = () => fields.forEach(({ control, start }) => control.set(start));
  const all = fields.map(({ control }) => control.node);
  const node = h(
    "details.advanced",
    { open: matchMedia("(min-width: 900px)").matches },
    h("summary", {}, t("make.options")),
    h("div.fields", {}, all, button("reset", t("make.reset"), reset, { kind: ".quiet" })),
  );
  const values = () => fields.map(({ name, control }) => [name, control.value()]).filter(([, value]) => value !== null);
  return { node: fields.length ? node : null, values: () => Object.fromEntries(values()) };
}

/**
 * The form of a model.
 * @param {object} model Of /v1/models. @param {object} schema Of its options. @param {object} draft What was filled in before.
 * @returns {{node: Element, body: () => object, draft: () => object, missing: () => string|null, showSeed: (n) => void}}
 */
export function controls(model, schema, draft = {}) {
  const { seed: _, label, source: _source, mask: _mask, ...rest } = schema.properties ?? {};
  const named = label ? (label.enum ?? model.classes) : [];
  const which = named.length ? classes(named, named.includes(draft.label) ? draft.label : null) : null;
  const words = (name) => h("textarea", { rows: 3, maxlength: 100000, dir: "auto", value: draft[name] ?? "" });
  const prompt = model.continues || model.captions ? words("prompt") : null;
  const negative = model.guided ? words("negative_prompt") : null;
  const asked = model.captions ? "make.caption" : "make.prompt";
  const n = numberField({ name: t("make.n"), low: 1, high: 64, whole: true, start: draft.n ?? START[model.kind] ?? 4 });
  const seed = seedField(draft);
  const tuning = fineTuning(rest, draft.options);
  const original = originalField(model, draft.original) ?? sourceTune(model, draft.original);
  return {
    node: h(
      "div.fields",
      {},
      prompt && field(t(asked), t(`${asked}.hint`), prompt),
      negative && field(t("make.negative"), t("make.negative.hint"), negative),
      prompt && model.medium === "music" && promptTune(model, prompt),
      original?.node,
      which?.node,
      n.node,
      seed.node,
      tuning.node,
    ),
    showSeed: seed.show,
    missing: () => original?.missing() ?? null,
    draft: () => ({
      ...seed.draft(),
      label: which?.value() ?? null,
      n: n.value(),
      prompt: prompt?.value,
      negative_prompt: negative?.value,
      options: tuning.values(),
      original: original?.draft(),
    }),
    body: () => ({
      model: model.id,
      ...(SHOWN[model.medium] && { format: SHOWN[model.medium] }),
      n: n.inside(1),
      options: tuning.values(),
      ...which?.body(),
      ...seed.body(),
      ...(prompt?.value && { prompt: prompt.value }),
      ...(negative?.value && { negative_prompt: negative.value }),
      ...original?.body(),
    }),
  };
}
