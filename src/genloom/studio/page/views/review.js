// Review: what a filter held back, and a person's decision.

import { get, post, url } from "../api.js";
import { button, fill, h, toast } from "../dom.js";
import { field } from "../fields.js";
import { heldTile, image, labelOf, models } from "../models.js";
import { complain, fetched, head, nothing } from "../pieces.js";
import { joined, moment, t } from "../words.js";

/** Show the view. @param {object} place See main.js. */
export async function review(place) {
  const { root, signal } = place;
  const [page, list] = await Promise.all([get("/v1/reviews", { signal }), models({ signal })]);
  const cards = h("ul.reviews");
  const foot = h("div");
  const settle = () => {
    if (cards.children.length) return;
    if (page.has_more) review(place).catch(complain);
    else fill(foot, nothing("review", "review.empty"));
  };
  const modelOf = (item) => list.find((model) => model.id === item.model);
  cards.append(...page.data.map((item) => card(item, modelOf(item), settle)));
  fill(root, head("review"), cards, foot);
  settle();
}

function card(item, model, settle) {
  const reason = h("input", { type: "text", maxlength: 500, dir: "auto" });
  const decide = async (approve) => {
    if (!approve && !reason.value.trim()) {
      toast(t("review.needs"), { bad: true });
      return reason.focus();
    }
    try {
      await post(url`/v1/reviews/${item.id}`, { approve, reason: reason.value.trim() });
      toast(t(approve ? "review.approved" : "review.rejected"));
      const next = node.nextElementSibling ?? node.previousElementSibling;
      node.remove();
      (next?.querySelector("input") ?? document.querySelector("h1")).focus();
      settle();
    } catch (error) {
      complain(error);
    }
    return undefined;
  };
  const label = labelOf(model, item.label);
  const about = joined(item.model, label, `${t("detail.seed")} ${item.seed}`, moment(item.created));
  const node = h(
    "li.panel.review",
    {},
    media(item, model),
    h(
      "div.fields",
      {},
      h("p.why", {}, h("span.soft", {}, t("review.for")), h("strong", { dir: "auto" }, String(item.held_for ?? ""))),
      h("p.soft", { dir: "auto" }, about),
      field(t("review.reason"), null, reason),
      h(
        "div.actions",
        {},
        button("tick", t("review.approve"), () => decide(true), { kind: ".primary" }),
        button("close", t("review.reject"), () => decide(false), { kind: ".danger" }),
      ),
    ),
  );
  return node;
}

/** Where a reviewer sees what is held. */
const heldAt = (id) => url`/v1/reviews/${id}/content`;

function media(item, model) {
  if (item.kind === "image") {
    const error = () => picture.replaceWith(heldTile("span", t("review.hidden")));
    const picture = image(model, heldAt(item.id), t("item.held"), { on: { error } });
    return h("div.look", {}, picture);
  }
  const page = h("pre.page", { dir: "auto", tabindex: 0 }, t("loading"));
  return h("div.look", {}, fetched(page, heldAt(item.id), {}, t("review.hidden")));
}
