// Judge: reports side by side, and a blind vote.

import { fill, h } from "../dom.js";
import { models } from "../models.js";
import { head } from "../pieces.js";
import { reports } from "../reports.js";
import { t } from "../words.js";
import { voting } from "../vote.js";

const PARTS = ["reports", "vote"];

/** Show the view. @param {object} place See main.js. */
export async function judge({ root, session, query, signal }) {
  const list = await models({ signal });
  const part = PARTS.includes(query.get("part")) ? query.get("part") : PARTS[0];
  const tab = (name) => {
    const props = { href: `#/judge?part=${name}`, "aria-current": name === part ? "true" : null };
    return h("a.tab", props, t(`judge.part.${name}`));
  };
  fill(
    root,
    head("judge"),
    h("div.tabs", { role: "navigation", "aria-label": t("nav.judge") }, PARTS.map(tab)),
    part === "vote" ? voting(list, signal) : await reports(list, session, signal),
  );
}
