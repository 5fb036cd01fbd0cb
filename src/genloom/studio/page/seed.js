// A seed to type or to roll.

import { MOST_SEED } from "./controls.js";
import { button, h } from "./dom.js";
import { field } from "./fields.js";
import { t } from "./words.js";

/** A seed below 2^31, from the browser's own source of chance. */
export const roll = () => crypto.getRandomValues(new Uint32Array(1))[0] >>> 1;

/** @returns {{node: Element, value: () => number, roll: () => void}} A seed that is always there. */
export function seedBox(name, start) {
  const box = h("input.number", {
    type: "number",
    min: 0,
    max: MOST_SEED,
    step: 1,
    inputmode: "numeric",
    value: start,
  });
  const again = () => {
    box.value = roll();
  };
  const dice = button("dice", `${t("make.dice")}: ${name}`, again, { bare: true });
  return {
    node: field(name, null, h("div.tools.pair", {}, box, dice)),
    value: () => Math.min(MOST_SEED, Math.max(0, Math.round(Number(box.value)))),
    roll: again,
  };
}
