// What a generation looks like, while it comes and when it is there.

import { contentOf } from "./api.js";
import { copy, nameOf } from "./detail.js";
import { button, fill, h, icon } from "./dom.js";
import { heldTile, image, isSeen, labelOf, player, pointsOf, unseen } from "./models.js";
import { colour, Plot } from "./plot.js";
import { joined, number, t } from "./words.js";

/**
 * A sheet of results, empty at first.
 * @param {object} model @param {number} n How many will come.
 * @param {{onopen: (index: number) => void, earlier?: number[][], mark?: number, prompt?: string}} about
 * @returns {{node: Element, preview?: Function, text?: Function, finish: (generation: object) => void}}
 */
export function sheet(model, n, about) {
  if (model.kind === "points") return points(model, n, about);
  if (model.kind === "text") return texts(n, about);
  return pictures(model, n, about);
}

/** What is shown beside the picture that it was made from; alone, where it was made from none. */
export function beside(source, model, node) {
  if (!source || model.kind !== "image") return node;
  const alt = t("original.source");
  const figure = h("figure.source", {}, image(model, source, alt), h("figcaption", { "aria-hidden": "true" }, alt));
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
  return {
    node,
    preview(_, shown) {
      for (const { index, src } of shown) {
        const old = cells[index].querySelector("img");
        if (old) old.src = src;
        else fill(cells[index], h("span.tile.coming", {}, image(model, src, "")));
      }
    },
    finish({ data, model: name }) {
      data.forEach((item, i) => {
        const told = nameOf({ ...item, model: name }, model);
        const props = {
          type: "button",
          title: told,
          "aria-current": item.seed === mark && n > 1 ? "true" : null,
          on: { click: () => onopen(i) },
        };
        const held = () => heldTile("button", unseen(item), { ...props, "aria-label": `${told}. ${unseen(item)}` });
        fill(cells[i], isSeen(item) ? h("button.tile", props, image(model, contentOf(item.id), told)) : held());
      });
    },
  };
}

function texts(n, { onopen, prompt }) {
  const given = () => prompt && h("span.given", {}, prompt);
  const pages = Array.from({ length: n }, () => h("p.prose.coming", { dir: "auto" }, given()));
  const cells = pages.map((page) => h("li", {}, h("article.text", {}, page)));
  return {
    node: h("ol.texts", {}, cells),
    text(index, piece) {
      pages[index].append(piece);
    },
    finish({ data }) {
      data.forEach((item, i) => {
        const told = item.text ?? "";
        const begun = prompt && told.startsWith(prompt);
        pages[i].classList.remove("coming");
        if (!isSeen(item)) fill(pages[i], icon("held"), unseen(item));
        else fill(pages[i], begun && given(), begun ? told.slice(prompt.length) : told);
        cells[i].querySelector("article").append(
          (isSeen(item) && player(item)) || "",
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
  const notes = joined(earlier.length > 0 && t("plot.earlier"), dims > 2 && t("plot.axes", { n: dims }));
  const legend = h("figcaption", {}, notes);
  const node = h("figure.scatter", {}, figure.node, legend);
  return {
    node,
    preview(_, shown) {
      const moving = shown.map(({ values }) => ({ values, group: 0 }));
      figure.show(moving, earlier, false);
    },
    finish({ data }) {
      const place = (label) => Math.max(0, model.classes.indexOf(label));
      const labels = [...new Set(data.map((item) => labelOf(model, item.label)))].filter(Boolean);
      const swatch = (label) => h("span.swatch", {}, h(`span.spot.g${colour(place(label))}`, {}), label);
      requestAnimationFrame(() => figure.show(pointsOf(model, data), earlier));
      labels.sort((a, b) => place(a) - place(b));
      fill(legend, labels.map(swatch), h("span", {}, notes));
      node.append(table(data, model));
    },
  };
}

/** The points in words, for those who cannot see or want to copy them. */
function table(data, model) {
  const dims = Math.max(0, ...data.map((item) => item.values?.length ?? 0));
  const axes = (words) => Array.from({ length: dims }, (_, i) => words(i));
  const classed = model.classes.length > 0;
  const heads = [t("detail.seed"), classed ? t("detail.label") : [], axes((i) => `x${i}`)].flat();
  const cells = ({ seed, label, values }) =>
    [seed, classed ? (labelOf(model, label) ?? "") : [], axes((i) => (values ? number(values[i]) : ""))].flat();
  const row = (list, cell) => h("tr", {}, list.map(cell));
  const top = row(heads, (text) => h("th", { scope: "col" }, text));
  const body = data.map((item) => row(cells(item), (text) => h("td", {}, text)));
  const name = t("plot.table");
  return h(
    "details.table",
    {},
    h("summary", {}, name),
    h(
      "div.wide",
      { tabindex: 0, role: "region", "aria-label": name },
      h("table", {}, h("thead", {}, top), h("tbody", {}, body)),
    ),
  );
}
