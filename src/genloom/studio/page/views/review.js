// Review: what a filter held back, and a person's decision.

import { get, post, request } from "../api.js";
import { button, fill, h, icon, toast } from "../dom.js";
import { field } from "../fields.js";
import { isSmall, labelOf, models } from "../models.js";
import { moment, t } from "../words.js";

/** Show the view. @param {object} place See main.js. */
export async function review(place) {
  const { root, signal } = place;
  const [page, list] = await Promise.all([get("/v1/reviews", { signal }), models({ signal })]);
  const cards = h("ul.reviews");
  const foot = h("div");
  const settle = () => {
    if (cards.children.length) return;
    if (page.has_more) review(place).catch((error) => toast(error.message, { bad: true }));
    else
      fill(
        foot,
        h("div.nothing", {}, icon("review"), h("h2", {}, t("review.empty")), h("p", {}, t("review.empty.hint"))),
      );
  };
  cards.append(
    ...page.data.map((item) =>
      card(
        item,
        list.find((model) => model.id === item.model),
        settle,
      ),
    ),
  );
  fill(root, h("h1", { tabindex: -1 }, t("review.title")), h("p.lead", {}, t("review.lead")), cards, foot);
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
      await post(`/v1/reviews/${encodeURIComponent(item.id)}`, { approve, reason: reason.value.trim() });
      toast(t(approve ? "review.approved" : "review.rejected"));
      const next = node.nextElementSibling ?? node.previousElementSibling;
      node.remove();
      (next?.querySelector("input") ?? document.querySelector("h1")).focus();
      settle();
    } catch (error) {
      toast(error.message, { bad: true });
    }
    return undefined;
  };
  const label = labelOf(model, item.label);
  const node = h(
    "li.panel.review",
    {},
    media(item, model),
    h(
      "div.fields",
      {},
      h("p.why", {}, h("span.soft", {}, t("review.for")), h("strong", { dir: "auto" }, String(item.held_for ?? ""))),
      h(
        "p.soft",
        { dir: "auto" },
        [item.model, label, `${t("detail.seed")} ${item.seed}`, moment(item.created)].filter(Boolean).join(" \u00b7 "),
      ),
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
const heldAt = (id) => `/v1/reviews/${encodeURIComponent(id)}/content`;

function media(item, model) {
  const hidden = () => h("span.tile.held", {}, icon("held"), h("span", {}, t("review.hidden")));
  if (item.kind === "image") {
    const picture = h(isSmall(model) ? "img.crisp" : "img", { src: heldAt(item.id), alt: t("item.held") });
    picture.addEventListener("error", () => picture.replaceWith(hidden()));
    return h("div.look", {}, picture);
  }
  const page = h("pre.page", { dir: "auto", tabindex: 0 }, t("loading"));
  request("GET", heldAt(item.id))
    .then((answer) => answer.text())
    .then((text) => fill(page, text))
    .catch(() => fill(page, t("review.hidden")));
  return h("div.look", {}, page);
}
