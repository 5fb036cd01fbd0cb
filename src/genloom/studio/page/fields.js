// Form fields: a slider with its number, chips, a switch, a place to drop a file.

import { fill, h, icon } from "./dom.js";
import { number, t } from "./words.js";

let count = 0;
const NOTCHES = 1000;

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
    value: (at) =>
      Math.min(
        high,
        Math.max(low, round(geometric ? low * (high / low) ** (at / NOTCHES) : low + (high - low) * (at / NOTCHES))),
      ),
  };
}

/**
 * A number: a slider with its number field where both ends are known, else the field alone.
 * @returns {{node: Element, value: () => number|null, set: (v: number|null) => void}} null: left empty
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
    const value = box.value === "" ? low : Math.min(high, Math.max(low, Number(box.value)));
    slider.value = law.at(value);
    slider.style.setProperty("--at", `${slider.value / 10}%`);
    slider.setAttribute("aria-valuetext", number(value));
  };
  box.addEventListener("input", () => {
    show();
    onchange();
  });
  if (slider) {
    slider.addEventListener("input", () => {
      box.value = law.value(Number(slider.value));
      show();
      onchange();
    });
    slider.addEventListener("keydown", (event) =>
      nudge(event, box, { low, high, whole }, () => {
        show();
        onchange();
      }),
    );
  }
  show();
  return {
    node: field(name, hint, h("div.pair", {}, slider, box)),
    value: () => (box.value === "" ? null : Number(box.value)),
    set: (value) => {
      box.value = value ?? "";
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
  const next = Math.min(high, Math.max(low, (Number(box.value) || 0) + way * step));
  box.value = Number(next.toPrecision(6));
  done();
}

/**
 * One of several, as chips.
 * @param {Array<{value: any, text: string, hint?: string}>} choices
 * @returns {{node: Element, value: () => any, set: (v: any) => void}}
 */
export function chips({ name, choices, start, onchange = () => {}, kind = "" }) {
  const group = `c${++count}`;
  const inputs = choices.map(() => null);
  const all = choices.map(({ value, text, hint }, i) => {
    inputs[i] = h("input", {
      type: "radio",
      name: group,
      value: String(i),
      checked: value === start,
      on: { change: () => onchange(value) },
    });
    return h(
      "label.chip",
      {},
      inputs[i],
      h("span.pill", {}, h("span", { dir: "auto" }, text), hint && h("small", {}, hint)),
    );
  });
  const node = h("fieldset.field", {}, h("legend.name", {}, name), h(`div.chips${kind}`, {}, all));
  return {
    node,
    all,
    value: () => choices[inputs.findIndex((input) => input.checked)]?.value,
    set: (value) =>
      choices.forEach((choice, i) => {
        inputs[i].checked = choice.value === value;
      }),
  };
}

/** Yes or no. */
export function toggle({ name, hint, start, onchange = () => {} }) {
  const input = h("input", { type: "checkbox", role: "switch", checked: start, on: { change: onchange } });
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
export function select({ name, hint, choices, start, onchange = () => {} }) {
  const input = h(
    "select",
    { on: { change: onchange } },
    choices.map((value, i) => h("option", { value: String(i), selected: value === start }, String(value))),
  );
  return {
    node: field(name, hint, input),
    value: () => choices[Number(input.value)],
    set: (value) => {
      input.value = String(choices.indexOf(value));
    },
  };
}

/** A place to drop a file on, or to press; `took` gets the File. */
export function dropZone({ text, hint, accept, took }) {
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
    if (event.dataTransfer.files.length) took(event.dataTransfer.files[0]);
  });
  return { node: zone, say: (next) => fill(words, next) };
}

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
