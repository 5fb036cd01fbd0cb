// Form fields: a slider with its number, chips, a switch, a place to drop a file.

import { fill, h, icon } from "./dom.js";
import { known, number, t } from "./words.js";

let count = 0;
const NOTCHES = 1000;

/** A number, brought between two ends. */
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** A named field: the name labels its first control, the hint describes it. */
export function field(name, hint, ...content) {
  const id = `f${++count}`;
  const told = hint && h("span.hint", { id: `${id}h` }, hint);
  const node = h("div.field", {}, h("label.name", { for: id }, name), content, told);
  const control = node.querySelector("input:not([type=range]), select, textarea");
  control.id = id;
  if (told) control.setAttribute("aria-describedby", told.id);
  return node;
}

/** The law of a slider: even, or geometric where the range spans two orders of magnitude. */
function scale(low, high, whole) {
  const geometric = low > 0 && high / low >= 50;
  const round = (v) => (whole ? Math.round(v) : Number(v.toPrecision(3)));
  return {
    at: (v) => NOTCHES * (geometric ? Math.log(v / low) / Math.log(high / low) : (v - low) / (high - low || 1)),
    value: (at) => {
      const part = at / NOTCHES;
      return clamp(round(geometric ? low * (high / low) ** part : low + (high - low) * part), low, high);
    },
  };
}

/**
 * A number: a slider with its number field where both ends are known, else the field alone.
 * @returns {{node: Element, value: () => number|null, inside: (empty: number) => number, set: (v: number|null) => void}}
 *   value: null where it was left empty; inside: what a model can be told
 */
export function numberField({ name, hint, low, high, whole, start, onchange = () => {} }) {
  const bounded = Number.isFinite(low) && Number.isFinite(high) && high > low;
  const box = h("input.number", {
    type: "number",
    inputmode: whole ? "numeric" : "decimal",
    min: low ?? null,
    max: high ?? null,
    step: whole ? 1 : "any",
    value: start ?? "",
    placeholder: start === null ? t("option.none") : null,
  });
  const law = bounded && scale(low, high, whole);
  const slider = bounded && h("input.slider", { type: "range", min: 0, max: NOTCHES, step: 1, "aria-label": name });
  const show = () => {
    if (!slider) return;
    const value = box.value === "" ? low : clamp(Number(box.value), low, high);
    slider.value = law.at(value);
    slider.style.setProperty("--at", `${slider.value / 10}%`);
    slider.setAttribute("aria-valuetext", number(value));
  };
  const changed = () => {
    show();
    onchange();
  };
  box.addEventListener("input", changed);
  if (slider) {
    slider.addEventListener("input", () => {
      box.value = law.value(Number(slider.value));
      changed();
    });
    slider.addEventListener("keydown", (event) => nudge(event, box, { low, high, whole }, changed));
  }
  show();
  const value = () => (box.value === "" ? null : Number(box.value));
  return {
    node: field(name, hint, h("div.pair", {}, slider, box)),
    value,
    inside: (empty) => clamp(whole ? Math.round(value() ?? empty) : (value() ?? empty), low, high),
    set: (next) => {
      box.value = next ?? "";
      show();
    },
  };
}

/** Arrow keys on a slider move the value itself by one step, not the slider by one notch. */
function nudge(event, box, { low, high, whole }, done) {
  const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
  if (!way) return;
  event.preventDefault();
  const step = whole ? 1 : 10 ** Math.floor(Math.log10((high - low) / 20));
  const next = clamp((Number(box.value) || 0) + way * step, low, high);
  box.value = Number(next.toPrecision(6));
  done();
}

/** Words of a group to choose from, with their hints. */
export const choicesOf = (group, values) =>
  values.map((value) => ({ value, text: t(`${group}.${value}`), hint: known(`${group}.${value}`, "hint", null) }));

/**
 * One of several, as chips.
 * @param {Array<{value: any, text: string, hint?: string}>} choices
 * @returns {{node: Element, all: Element[], value: () => any}}
 */
export function chips({ name, choices, start, onchange = () => {}, kind = "" }) {
  const group = `c${++count}`;
  const inputs = choices.map(({ value }, i) => {
    const on = { change: () => onchange(value) };
    return h("input", { type: "radio", name: group, value: String(i), checked: value === start, on });
  });
  const all = choices.map(({ text, hint }, i) => {
    const pill = h("span.pill", {}, h("span", { dir: "auto" }, text), hint && h("small", {}, hint));
    return h("label.chip", {}, inputs[i], pill);
  });
  const node = h("fieldset.field", {}, h("legend.name", {}, name), h(`div.chips${kind}`, {}, all));
  return { node, all, value: () => choices[inputs.findIndex((input) => input.checked)]?.value };
}

/** Yes or no. */
export function toggle({ name, hint, start }) {
  const input = h("input", { type: "checkbox", role: "switch", checked: start });
  const node = h(
    "label.switch",
    {},
    h("span", {}, name, hint && h("span.hint", {}, hint)),
    input,
    h("span.track", { "aria-hidden": "true" }),
  );
  return {
    node,
    value: () => input.checked,
    set: (value) => {
      input.checked = value;
    },
  };
}

/** One of a few words, as a list that folds. */
export function select({ name, hint, choices, start }) {
  const option = (value, i) => h("option", { value: String(i), selected: value === start }, String(value));
  const input = h("select", {}, choices.map(option));
  return {
    node: field(name, hint, input),
    value: () => choices[Number(input.value)],
    set: (value) => {
      input.value = String(choices.indexOf(value));
    },
  };
}

/** A place to drop a file on, or to press; `took` gets the File, `dropped` the DataTransfer. */
export function dropZone({ text, hint, accept, took, dropped = ({ files }) => files.length && took(files[0]) }) {
  const input = h("input", { type: "file", accept, on: { change: () => input.files.length && took(input.files[0]) } });
  const words = h("span", {}, text);
  const zone = h("label.drop", {}, input, icon("upload"), words, hint && h("small", {}, hint));
  const over = (on) => (event) => {
    event.preventDefault();
    zone.classList.toggle("over", on);
  };
  zone.addEventListener("dragover", over(true));
  zone.addEventListener("dragleave", over(false));
  zone.addEventListener("drop", (event) => {
    over(false)(event);
    dropped(event.dataTransfer);
  });
  return { node: zone, say: (next) => fill(words, next) };
}

/** Where a name is typed that the server takes. */
export const nameInput = (maxlength, pattern, on) =>
  h("input", { type: "text", maxlength, pattern, required: true, autocomplete: "off", spellcheck: "false", on });

/** A form beside a list: open where there is room for both, folded on a phone. */
export function folding(title, fields, go) {
  const node = h(
    "details.panel.folding",
    {},
    h("summary", {}, h("h2", {}, title)),
    h("div.fields", {}, fields),
    h("div.launch", {}, go),
  );
  const roomy = matchMedia("(min-width: 1000px)");
  node.open = roomy.matches;
  return {
    node,
    done: () => {
      node.open = roomy.matches;
    },
  };
}
