// The picture that samples are made from: dropped or chosen, cut as the model sees it, painted on.

import { Brush } from "./brush.js";
import { button, fill, h, toast } from "./dom.js";
import { clamp, dropZone, numberField } from "./fields.js";
import { t } from "./words.js";

const LARGEST = 1024; // pixels of a side that is sent, or what the model makes if that is more
const STRENGTH = { whole: 0.6, painted: 1 }; // of an edit, until somebody says more

/** Whether a model makes its samples from a picture, always or if there is one. */
const takesPicture = (model) => Boolean(model.source ?? (model.edits && model.kind === "image"));

/** Whether an output was made from a picture, as the server or this page remembers it. */
export const madeFrom = ({ source, options }) => Boolean(source ?? options?.source);

/**
 * The largest centred part of the form that a model makes, as the server cuts it.
 * @returns {{top: number, left: number, rows: number, columns: number}}
 */
function part(width, height, [, high, wide]) {
  const scale = Math.min(height / high, width / wide);
  const [rows, columns] = [high, wide].map((side) => Math.max(1, Math.round(scale * side)));
  return { top: Math.floor((height - rows) / 2), left: Math.floor((width - columns) / 2), rows, columns };
}

/** A file as a canvas. @throws {DOMException} It is no picture. */
async function cut(file, shape) {
  const bitmap = await createImageBitmap(file);
  const { top, left, rows, columns } = part(bitmap.width, bitmap.height, shape);
  const shrink = Math.min(1, Math.max(LARGEST, ...shape.slice(1)) / Math.max(rows, columns));
  const [width, height] = [columns, rows].map((side) => Math.max(1, Math.round(side * shrink)));
  const sheet = h("canvas", { width, height });
  const pen = sheet.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, left, top, columns, rows, 0, 0, width, height);
  bitmap.close();
  return sheet;
}

/** Another canvas of the same content: an element can be in one place only. */
function copyOf(sheet) {
  const copy = h("canvas", { width: sheet.width, height: sheet.height });
  copy.getContext("2d").drawImage(sheet, 0, 0);
  return copy;
}

/**
 * The field of a model that takes a picture; null for others.
 * @param {object} model Of /v1/models. @param {object} start What `draft` told before.
 * @returns {{node: Element, body: () => object, draft: () => object, missing: () => string|null} | null}
 */
export function originalField(model, start) {
  return takesPicture(model) ? new Field(model, start ?? {}) : null;
}

class Field {
  constructor(model, { sheet, strokes, strength }) {
    this.model = model;
    this.node = h("fieldset.field.original");
    this.told = strength !== undefined; // whether the strength was said by a person
    this.strength = model.source ? null : this.slider(strength ?? STRENGTH.whole);
    this.zone = dropZone({
      text: t("original.drop"),
      hint: t(`original.${model.source?.given ?? "edit"}`),
      accept: "image/png,image/jpeg,image/webp",
      took: (file) => this.take(file),
    });
    if (sheet) this.show(sheet, strokes);
    else this.empty();
  }

  slider(start) {
    const onchange = () => {
      this.told = true;
    };
    const words = { name: t("original.strength"), hint: t("original.strength.hint") };
    return numberField({ ...words, low: 0, high: 1, start, onchange });
  }

  painted(share) {
    if (this.strength && !this.told) this.strength.set(share ? STRENGTH.painted : STRENGTH.whole);
  }

  get name() {
    return h("legend.name", {}, t(this.model.source?.needed ? "original.from" : "original.maybe"));
  }

  empty() {
    this.sheet = this.brush = null;
    fill(this.node, this.name, this.zone.node);
  }

  async take(file) {
    try {
      this.show(await cut(file, this.model.shape));
      (this.node.querySelector(".over") ?? this.node.querySelector("button")).focus({ preventScroll: true });
    } catch {
      toast(t("original.unreadable"), { bad: true });
    }
    this.zone.node.querySelector("input").value = ""; // the same file may be chosen again
  }

  show(sheet, strokes) {
    this.sheet = sheet;
    const paints = this.model.source?.mask ?? !this.model.source;
    const seen = copyOf(sheet);
    seen.classList.toggle("crisp", Math.max(sheet.width, sheet.height) <= 128);
    this.brush = paints ? new Brush(seen, this.model.shape, strokes, (share) => this.painted(share)) : null;
    if (!paints) Object.assign(seen, { role: "img", ariaLabel: t("original.source") });
    fill(
      this.node,
      this.name,
      this.brush?.node ?? h("div.board", {}, seen),
      h("p.hint", {}, t(paints ? `original.paint.${this.model.source ? "hole" : "edit"}` : "original.cut")),
      this.strength?.node,
      button("close", t("original.remove"), () => this.leave(), { kind: ".quiet" }),
    );
  }

  leave() {
    this.empty();
    this.zone.node.querySelector("input").focus();
  }

  /** What a generation is told. */
  body() {
    if (!this.sheet) return {};
    const mask = this.brush?.mask() ?? null;
    const strength = this.strength?.value() ?? null;
    return {
      source: this.sheet.toDataURL("image/png"),
      ...(mask && { mask }),
      ...(mask && this.model.source && { keep: true }),
      ...(strength !== null && { strength: clamp(strength, 0, 1) }),
    };
  }

  draft() {
    const strength = this.told ? (this.strength?.value() ?? undefined) : undefined;
    return { sheet: this.sheet, strokes: this.brush && [...this.brush.strokes], strength };
  }

  /** What must be said before anything can be made. */
  missing() {
    return this.model.source?.needed && !this.sheet ? t("original.missing") : null;
  }
}
