// What a generation looks like, while it comes and when it is there.

import { contentOf } from "./api.js";
import { copy, nameOf } from "./detail.js";
import { button, fill, h, icon } from "./dom.js";
import { groupOf, isSeen, isSmall, labelOf } from "./models.js";
import { Plot } from "./plot.js";
import { number, t } from "./words.js";

/**
 * A sheet of results, empty at first.
 * @param {object} model @param {number} n How many will come.
 * @param {{onopen: (index: number) => void, earlier?: number[][], mark?: number, prompt?: string}} about
 * @returns {{node: Element, preview: Function, text: Function, finish: (generation: object) => void}}
 */
export function sheet(model, n, about) {
  if (model.kind === "points") return points(model, n, about);
  if (model.kind === "text") return texts(n, about);
  return pictures(model, n, about);
}

/** What is shown beside the picture that it was made from; alone, where there is none. */
export function beside(source, model, node) {
  if (!source) return node;
  const alt = t("original.source");
  const image = h(isSmall(model) ? "img.crisp" : "img", { src: source, alt });
  const figure = h("figure.source", {}, image, h("figcaption", { "aria-hidden": "true" }, alt));
  return h("div.beside", {}, figure, node);
}

function pictures(model, n, { onopen, mark }) {
  const [, height, width] = model.shape;
  const cells = Array.from({ length: n }, () => h("li", {}, h("span.tile.empty", {})));
  const node = h("ol.sheet", {}, cells);
  const columns = Math.ceil(Math.sqrt(n * (height / width)));
  node.style.setProperty("--columns", Math.max(1, columns));
  node.style.setProperty("--few", Math.min(4, Math.max(1, columns)));
  node.style.setProperty("--shape", `${width} / ${height}`);
  const image = (src, alt) => h(isSmall(model) ? "img.crisp" : "img", { src, alt });
  return {
    node,
    preview(_, shown) {
      for (const { index, src } of shown) {
        const old = cells[index].querySelector("img");
        if (old) old.src = src;
        else fill(cells[index], h("span.tile.coming", {}, image(src, "")));
      }
    },
    text() {},
    finish({ data, model: name }) {
      data.forEach((item, i) => {
        const told = nameOf({ ...item, model: name }, model);
        const props = {
          type: "button",
          title: told,
          "aria-current": item.seed === mark && n > 1 ? "true" : null,
          on: { click: () => onopen(i) },
        };
        fill(
          cells[i],
          !isSeen(item)
            ? h(
                "button.tile.held",
                { ...props, "aria-label": `${told}. ${t("item.held")}` },
                icon("held"),
                h("span", {}, t("item.held")),
              )
            : h("button.tile", props, image(contentOf(item.id), told)),
        );
      });
    },
  };
}

function texts(n, { onopen, prompt }) {
  const pages = Array.from({ length: n }, () =>
    h("p.prose.coming", { dir: "auto" }, prompt && h("span.given", {}, prompt)),
  );
  const cells = pages.map((page) => h("li", {}, h("article.text", {}, page)));
  return {
    node: h("ol.texts", {}, cells),
    preview() {},
    text(index, piece) {
      pages[index].append(piece);
    },
    finish({ data }) {
      data.forEach((item, i) => {
        const told = item.text ?? "";
        const begun = prompt && told.startsWith(prompt);
        pages[i].classList.remove("coming");
        if (!isSeen(item)) fill(pages[i], icon("held"), t("item.held"));
        else fill(pages[i], begun && h("span.given", {}, prompt), begun ? told.slice(prompt.length) : told);
        cells[i].querySelector("article").append(
          h(
            "footer",
            {},
            h("span.soft", {}, `${t("detail.seed")} ${item.seed}`),
            isSeen(item) && button("copy", t("item.copy"), () => copy(told), { bare: true }),
            button("right", t("item.open"), () => onopen(i), { bare: true }),
          ),
        );
      });
    },
  };
}

function points(model, n, { onopen, earlier = [] }) {
  const figure = new Plot({ label: t("plot.label", { n }), onopen });
  const [dims] = model.shape;
  const notes = [earlier.length > 0 && t("plot.earlier"), dims > 2 && t("plot.axes", { n: dims })].filter(Boolean);
  const node = h("figure.scatter", {}, figure.node);
  const legend = h("figcaption", {}, notes.join(" \u00b7 "));
  node.append(legend);
  return {
    node,
    preview: (_, shown) =>
      figure.show(
        shown.map(({ values }) => ({ values, group: 0 })),
        earlier,
        false,
      ),
    text() {},
    finish({ data }) {
      const labels = [...new Set(data.map((item) => labelOf(model, item.label)))].sort(
        (a, b) => model.classes.indexOf(a) - model.classes.indexOf(b),
      );
      requestAnimationFrame(() =>
        figure.show(
          data.map((item) => ({ values: item.values ?? null, group: groupOf(model, item.label) })),
          earlier,
        ),
      );
      fill(
        legend,
        labels
          .filter(Boolean)
          .map((label) =>
            h("span.swatch", {}, h(`span.spot.g${Math.max(0, model.classes.indexOf(label)) % 8}`, {}), label),
          ),
        h("span", {}, notes.join(" \u00b7 ")),
      );
      node.append(table(data, model));
    },
  };
}

/** The points in words, for those who cannot see or want to copy them. */
function table(data, model) {
  const dims = Math.max(0, ...data.map((item) => item.values?.length ?? 0));
  const head = [
    t("detail.seed"),
    ...(model.classes.length ? [t("detail.label")] : []),
    ...Array.from({ length: dims }, (_, i) => `x${i}`),
  ];
  const row = (item) => [
    item.seed,
    ...(model.classes.length ? [labelOf(model, item.label) ?? ""] : []),
    ...Array.from({ length: dims }, (_, i) => (item.values ? number(item.values[i]) : "")),
  ];
  return h(
    "details.table",
    {},
    h("summary", {}, t("plot.table")),
    h(
      "div.wide",
      { tabindex: 0, role: "region", "aria-label": t("plot.table") },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            head.map((c) => h("th", { scope: "col" }, c)),
          ),
        ),
        h(
          "tbody",
          {},
          data.map((item) =>
            h(
              "tr",
              {},
              row(item).map((c) => h("td", {}, c)),
            ),
          ),
        ),
      ),
    ),
  );
}
