// Train: data in, a model out, and everything that happens between.

import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { head, nothing } from "../pieces.js";
import { t } from "../words.js";
import { trainForm } from "../trainform.js";
import { Watch } from "../watch.js";

const PAGE = 100;
const MOST = 20; // trainings on the page; Jobs has them all

/** Show the view. @param {object} place See main.js. */
export async function train({ root, session, signal }) {
  const { data } = await get(`/v1/jobs?limit=${PAGE}`, { signal });
  const list = h("ul.jobs");
  const none = nothing("train", "train.none");
  const put = (job) => {
    none.remove();
    const { node } = new Watch(job, put, signal);
    list.prepend(node);
    node.scrollIntoView({ block: "nearest" });
  };
  const runs = data.filter(({ kind }) => kind === "train").slice(0, MOST);
  list.append(...runs.map((job) => new Watch(job, put, signal).node));
  const may = session.scopes.includes("train");
  const form = may ? trainForm(put, signal) : h("p.panel", {}, t("train.maynot"));
  if (!runs.length) form.open = true; // also on a phone: there is nothing else to see
  const found = h("section.list", { "aria-label": t("train.runs") }, list, !runs.length && none);
  fill(root, head("train"), h("div.halves.training", {}, form, found));
}
