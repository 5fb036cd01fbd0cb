// The models there are, their schemas, and the latest pictures of each as its face.

import { contentOf, get, url } from "./api.js";
import { h, icon } from "./dom.js";
import { roll } from "./roll.js";
import { given, joined, t } from "./words.js";

const schemas = new Map();
let listed = null;

/** All models; asked for once, and again after `forgetModels`. */
export async function models(options) {
  listed ??= (await get("/v1/models", options)).data;
  return listed;
}

/** Ask again next time: a training has ended, or somebody else signs in. */
export function forgetModels() {
  listed = null;
  schemas.clear();
}

/** The schema of a model's options. */
export async function schemaOf(id, options) {
  if (!schemas.has(id)) schemas.set(id, await get(url`/v1/models/${id}/schema`, options));
  return schemas.get(id);
}

/** The class that a record names, by its index as the server keeps it or by its name; null for none. */
export function labelOf(model, label) {
  if (!given(label) || label === "") return null;
  const index = /^\d+$/.test(label) ? Number(label) : -1;
  return String(model?.classes?.[index] ?? label);
}

/** In a few words: what a model makes. */
export function about(model) {
  const [first, height, width] = model.shape ?? [];
  const size =
    model.kind === "image"
      ? `${width} \u00d7 ${height}`
      : t(`model.${model.medium === "music" ? "events" : model.kind === "text" ? "length" : "dims"}`, { n: first });
  return joined(size, model.classes?.length > 0 && t("model.classes", { n: model.classes.length }));
}

/** Whether a picture of so few pixels is shown with hard edges. */
const isSmall = (model) => model?.kind === "image" && Math.max(...model.shape.slice(1)) <= 128;

/** A picture by a model. */
export const image = (model, src, alt, more) => h(isSmall(model) ? "img.crisp" : "img", { src, alt, ...more });

/** The same small among many: what holds it says what it is. */
export const thumbnail = (model, id) => image(model, contentOf(id), "", { loading: "lazy" });

/** Up to four recent pictures, or the sign of its kind. */
export function face(model, outputs) {
  const mine = outputs.filter((o) => o.model === model.id && o.kind === "image" && isSeen(o));
  const shown = mine.slice(0, mine.length < 4 ? 1 : 4);
  const sign = ["image", "points", "text"].includes(model.kind) ? model.kind : "image";
  return h(
    shown.length > 1 ? "span.face.four" : "span.face",
    { "aria-hidden": "true" },
    shown.map(({ id }) => thumbnail(model, id)),
    !shown.length && icon(sign),
  );
}

/** Whether an output may be looked at. */
export const isSeen = ({ state }) => !["held", "rejected", "refused"].includes(state);

/** Why an output may not be looked at, or why there is none. */
export const unseen = ({ state, reason }) => (state === "refused" && reason) || t("item.held");

/** What plays an output that is a sound and draws its notes, or shows a drawing; nothing for others. */
export const player = ({ id, media_type, text = "" }) =>
  media_type === "audio/wav"
    ? h("div", {}, roll(text), h("audio", { controls: true, src: contentOf(id) }))
    : media_type === "image/svg+xml" && h("img", { src: contentOf(id), alt: "" });

/** The class of a point as a number for its colour; 0 where there are none. */
const groupOf = (model, label) => Math.max(0, model?.classes?.indexOf(labelOf(model, label)) ?? 0);

/** What stands in the place of an output that may not be looked at. */
export const heldTile = (tag, words, props = {}) => h(`${tag}.tile.held`, props, icon("held"), h("span", {}, words));

/** Outputs as points to draw. */
export const pointsOf = (model, items) =>
  items.map(({ values = null, label }) => ({ values, group: groupOf(model, label) }));

/** The cards to pick a model from. */
export function picker(list, outputs, chosen, onpick) {
  const cards = list.map((model) =>
    h(
      "label.model",
      {},
      h("input", {
        type: "radio",
        name: "model",
        value: model.id,
        checked: model.id === chosen,
        on: { change: () => onpick(model) },
      }),
      h(
        "span.card",
        {},
        face(model, outputs),
        h("span.words", {}, h("strong", { dir: "auto" }, model.id), h("small", {}, about(model))),
      ),
    ),
  );
  return h("fieldset.models", {}, h("legend.hidden", {}, t("detail.model")), h("div.row", {}, cards));
}
