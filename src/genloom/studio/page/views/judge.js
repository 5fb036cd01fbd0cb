// Judge: reports side by side, and a blind vote.

import { fill, h } from "../dom.js";
import { models } from "../models.js";
import { reports } from "../reports.js";
import { t } from "../words.js";
import { voting } from "../vote.js";

const PARTS = ["reports", "vote"];

/** Show the view. @param {object} place See main.js. */
export async function judge({ root, session, query, signal }) {
  const list = await models({ signal });
  const part = PARTS.includes(query.get("part")) ? query.get("part") : PARTS[0];
  const link = (name) =>
    h(
      "a.tab",
      { href: `#/judge?part=${name}`, "aria-current": name === part ? "true" : null },
      t(`judge.part.${name}`),
    );
  fill(
    root,
    h("h1", { tabindex: -1 }, t("judge.title")),
    h("p.lead", {}, t("judge.lead")),
    h("div.tabs", { role: "navigation", "aria-label": t("judge.title") }, PARTS.map(link)),
    part === "vote" ? voting(list, signal) : await reports(list, session, signal),
  );
}
