// The generations of this visit, small and in a row.

import { h, icon } from "./dom.js";
import { isSeen, pointsOf, thumbnail } from "./models.js";
import { dots } from "./plot.js";
import { t } from "./words.js";

/** @param {object[]} past The newest first. @param {object} shown The one on the stage. */
export function strip(past, shown, onpick) {
  const one = (work) => {
    const props = {
      type: "button",
      "aria-label": t("make.again", { model: work.model.id, n: work.generation.data.length }),
      title: work.model.id,
      "aria-current": work === shown ? "true" : null,
      on: { click: () => onpick(work) },
    };
    return h("li", {}, h("button.thumb", props, thumb(work)));
  };
  return h("section.history", {}, h("h2", {}, t("make.history")), h("ul", {}, past.map(one)));
}

function thumb({ model, generation }) {
  const [first] = generation.data.filter(isSeen);
  if (!first) return icon("held");
  if (model.kind === "image") return thumbnail(model, first.id);
  if (model.kind === "text") return h("span.snip", { dir: "auto" }, (first.text ?? "").slice(0, 60));
  return dots(pointsOf(model, generation.data));
}
