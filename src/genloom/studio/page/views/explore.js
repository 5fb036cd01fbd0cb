// Explore: walk between seeds, move through codes, watch a sample come about.

import { within } from "../api.js";
import { codes } from "../codes.js";
import { fill, h } from "../dom.js";
import { chips } from "../fields.js";
import { models, picker } from "../models.js";
import { failed, head } from "../pieces.js";
import { t } from "../words.js";
import { making, walk } from "../walk.js";
import { untrained } from "./make.js";

const WAYS = { walk, codes, making };
let last = { model: null, way: "walk" }; // what was looked at before, in this visit

/** Show the view. @param {object} place See main.js. */
export async function explore({ root, query, signal }) {
  const list = (await models({ signal })).filter(({ source }) => !source?.needed); // a seed alone makes nothing of these
  if (!list.length) return fill(root, head("explore")[0], untrained("explore"));
  const named = query.get("model") ?? last.model;
  let model = list.find(({ id }) => id === named) ?? list[0];
  const modes = h("div");
  const form = h("section.panel.settings", { "aria-label": t("make.settings") });
  const stage = h("section.results", { "aria-label": t("make.results") });
  const bench = h("div.bench.exploring", {}, form, stage);
  let inside = null; // ends when another model or way is chosen

  async function open(way) {
    inside?.abort();
    const own = (inside = within(signal));
    last = { model: model.id, way };
    bench.className = `bench exploring ${way}`;
    try {
      const parts = await WAYS[way](model, own.signal);
      if (own.signal.aborted) return;
      fill(form, parts.form);
      fill(stage, parts.stage);
    } catch (error) {
      failed(stage, error);
    }
  }
  function choose(next) {
    model = next;
    const open_ = Object.keys(WAYS).filter((way) => way !== "codes" || (model.latent && model.kind === "image"));
    const way = open_.includes(last.way) ? last.way : "walk";
    const choices = open_.map((value) => ({ value, text: t(`explore.${value}`) }));
    fill(modes, chips({ name: t("explore.how"), start: way, choices, onchange: open }).node);
    return open(way);
  }
  fill(root, head("explore"), picker(list, [], model.id, choose), modes, bench);
  return choose(model);
}
