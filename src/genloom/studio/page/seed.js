// A seed to type or to roll.

import { button, h } from "./dom.js";
import { clamp, field } from "./fields.js";
import { t } from "./words.js";

const MOST = 2 ** 53 - 1; // beyond it a browser would round

/** A seed below 2^31, from the browser's own source of chance. */
export const roll = () => crypto.getRandomValues(new Uint32Array(1))[0] >>> 1;

/** Where a seed is typed. */
export const seedInput = (props) =>
  h("input.number", { type: "number", min: 0, max: MOST, step: 1, inputmode: "numeric", ...props });

/** What was typed, as a seed. */
export const seedIn = (box) => clamp(Math.round(Number(box.value)), 0, MOST);

/** @returns {{node: Element, value: () => number}} A seed that is always there. */
export function seedBox(name) {
  const box = seedInput({ value: roll() });
  const again = () => {
    box.value = roll();
  };
  const dice = button("dice", `${t("make.dice")}: ${name}`, again, { bare: true });
  return { node: field(name, null, h("div.tools.pair", {}, box, dice)), value: () => seedIn(box) };
}
