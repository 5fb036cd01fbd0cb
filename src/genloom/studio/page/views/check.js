// Check: which marks of origin a file carries.

import { isAbort, post } from "../api.js";
import { announce, fill, h } from "../dom.js";
import { dropZone } from "../fields.js";
import { head, record, trouble } from "../pieces.js";
import { known, t } from "../words.js";

/** Show the view. @param {object} place See main.js. */
export function check({ root, signal }) {
  const found = h("div.found");
  let shown = null;
  const zone = dropZone({
    text: t("check.drop"),
    hint: t("check.hint"),
    accept: "",
    took: async (file) => {
      if (shown) URL.revokeObjectURL(shown);
      shown = URL.createObjectURL(file);
      fill(found, h("p.soft", {}, t("check.working")));
      const form = new FormData();
      form.append("file", file);
      try {
        fill(found, report(file, shown, (await post("/v1/content_provenance_checks", form, { signal })).results));
        announce(found.querySelector("h2").textContent);
      } catch (error) {
        if (!isAbort(error)) fill(found, trouble(h("p", {}, error.message)));
      }
    },
  });
  signal.addEventListener("abort", () => shown && URL.revokeObjectURL(shown));
  fill(root, head("check"), zone.node, found);
}

function report(file, address, results) {
  const some = results.some((result) => result.outcome === "detected");
  const picture = /^image\/(png|jpeg|webp|gif)$/.test(file.type) && h("img", { src: address, alt: file.name });
  return h(
    "section.panel.report",
    {},
    picture && h("div.look", {}, picture),
    h(
      "div.fields",
      {},
      h("p.soft", { dir: "auto" }, file.name),
      h("h2", {}, t(some ? "check.some" : "check.nothing")),
      !some && h("p", {}, t("check.nothing.hint")),
      h("ul.marks", {}, results.map(mark)),
    ),
  );
}

const isEmpty = (value) => value === null || value === "" || (typeof value === "object" && !Object.keys(value).length);

function mark({ type, outcome, ...rest }) {
  const yes = outcome === "detected";
  const plain = (value) => (typeof value === "object" ? JSON.stringify(value, null, 1) : value);
  const told = Object.entries(rest).filter(([, value]) => !isEmpty(value));
  const rows = told.map(([name, value]) => [name.replaceAll("_", " "), plain(value)]);
  const badge = h(`span.badge.${yes ? "succeeded" : "cancelled"}`, {}, known("check", outcome));
  return h(
    "li",
    {},
    h("div.head", {}, h("strong", {}, known("mark", type)), badge),
    rows.length > 0 && h("details", { open: yes }, h("summary", {}, t("check.about")), record(rows)),
  );
}
