// Make: pick a model, set it, and watch what it makes.

import { get, isAbort } from "../api.js";
import { Bench } from "../bench.js";
import { fill, h } from "../dom.js";
import { models } from "../models.js";
import { nothing } from "../pieces.js";
import { current, t } from "../words.js";

let bench = null; // kept while another view is looked at, so that a run goes on
let wish = null; // what another view wants made

/** Show the view. @param {object} place See main.js. */
export async function make({ root, session, query, signal }) {
  const list = await models({ signal });
  if (!list.length) {
    fill(root, h("h1.hidden", { tabindex: -1 }, t("nav.make")), untrained("make"));
    return;
  }
  if (bench?.list !== list || bench.language !== current()) {
    const before = bench?.leave();
    const model = list.find(({ id }) => id === before) ?? list[0];
    bench = new Bench(list, model, await latest(signal), session);
  }
  root.append(bench.node);
  const wanted = list.find((model) => model.id === (wish?.model ?? query.get("model")));
  if (wish && wanted) {
    const { item, vary } = wish;
    wish = null;
    await (vary ? bench.around(wanted, item) : bench.reuse(wanted, item));
  } else if (wanted || !bench.form) {
    await bench.pick(wanted ?? bench.model);
  }
}

/** What stands in the place of models, where there is none. */
export const untrained = (sign) =>
  nothing(sign, "make.none", h("a.button.primary", { href: "#/train" }, t("make.train")));

/** Go to Make with the settings of an output; with `vary`, make its neighbours at once. */
export function makeLike(item, vary) {
  wish = { model: item.model, item, vary };
  location.hash = "#/make";
}

/** The faces of the models; a page without them is no worse than plain. */
async function latest(signal) {
  try {
    return (await get("/v1/outputs?limit=100", { signal })).data;
  } catch (error) {
    if (isAbort(error)) throw error;
    return [];
  }
}

addEventListener("keydown", (event) => {
  if (!bench?.node.isConnected || document.querySelector("dialog[open]")) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    bench.run();
  }
  if (event.key === "Escape") bench.stop();
});
