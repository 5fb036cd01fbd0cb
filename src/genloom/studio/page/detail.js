// One output, large, with what makes it again.

import { contentOf, remove, url } from "./api.js";
import { asCurl, asPython } from "./code.js";
import { announce, button, fill, h, icon, toast } from "./dom.js";
import { image, isSeen, labelOf, player, pointsOf, unseen } from "./models.js";
import { madeFrom } from "./original.js";
import { complain, fetched, link, record } from "./pieces.js";
import { dots } from "./plot.js";
import { given, known, moment, number, t } from "./words.js";

/** What a sampler was told, whether the record keeps it alone or beside the form of the file. */
const samplingOf = (options) => options?.sampling ?? options ?? {};

/** What was asked for in words, as this page or a record keeps it. */
const promptOf = (item) => item.prompt ?? item.options?.caption;
const negativeOf = (item) => item.negative_prompt ?? item.options?.negative;

/** Put text on the clipboard, also where a page without TLS is not given one. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const box = h("textarea", { value: text });
    (document.querySelector("dialog[open]") ?? document.body).append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }
  toast(t("copied"));
}

/** A button that copies a text. */
export const copier = (text, kind) => button("copy", t("copy"), () => copy(text), { kind });

/** The picture, text or values of an output, as large as there is room. */
function media(item, model, items) {
  if (!isSeen(item))
    return h(
      "div.held",
      {},
      icon("held"),
      h("strong", { dir: "auto" }, unseen(item)),
      item.id && h("span", {}, t("item.held.hint")),
    );
  if (item.kind === "image") {
    const made = image(model, contentOf(item.id), nameOf(item, model));
    return item.source ? h("div.twin", {}, image(model, item.source, t("original.source")), made) : made;
  }
  if (item.kind === "text") {
    const page = h("pre.page", { dir: "auto", tabindex: 0 }, item.text ?? "");
    const sound = player(item);
    if (sound) return h("div", {}, sound, page);
    return item.text === undefined ? fetched(page, contentOf(item.id)) : page;
  }
  const others = items.filter((one) => one.model === item.model).map(({ values }) => ({ values, faint: true }));
  const values = (item.values ?? []).map((v) => h("span", {}, number(v, 4)));
  return h("div.point", {}, dots([...others, ...pointsOf(model, [item])]), h("p.values", {}, values));
}

/** What an output is called where it cannot be seen. */
export function nameOf(item, model) {
  return t("item.image", {
    model: item.model ?? model?.id ?? "",
    label: labelOf(model, item.label) ?? ((model?.captions && promptOf(item)) || t("item.unlabelled")),
    seed: item.seed,
  });
}

function recordOf(item, model) {
  const rows = [
    [t("detail.label"), labelOf(model, item.label)],
    [t("detail.seed"), item.seed],
    [t("detail.model"), item.model],
    [t(model?.captions ? "make.caption" : "detail.prompt"), promptOf(item)],
    [t("make.negative"), negativeOf(item)],
    ...Object.entries(samplingOf(item.options)).map(([k, v]) => [
      known("option", k),
      typeof v === "object" ? JSON.stringify(v) : v,
    ]),
    [t("detail.created"), moment(item.created)],
    [t("detail.state"), known("state", item.state)],
    [t("detail.id"), item.id],
  ];
  return record(rows.filter(([, v]) => given(v) && v !== ""));
}

/** The request that makes an output again. */
export function bodyOf(item, model) {
  const label = labelOf(model, item.label);
  return {
    model: item.model,
    n: 1,
    seed: item.seed,
    ...(label !== null && { label }),
    ...(promptOf(item) && { prompt: promptOf(item) }),
    ...(negativeOf(item) && { negative_prompt: negativeOf(item) }),
    options: samplingOf(item.options),
  };
}

/** The files that a request sends beside its words: fields and names. */
function filesOf(item) {
  const masked = item.masked ?? item.options?.mask;
  const ending = item.kind === "image" ? "png" : "mid";
  const fields = madeFrom(item) ? ["source", ...(masked ? ["mask"] : [])] : [];
  return fields.map((field) => [field, `${field}.${ending}`]);
}

/** What is to become of those, as a record keeps it or this page. */
function settingsOf(item) {
  const { strength, keep } = item.source ? item : (item.options ?? {});
  return { ...(strength !== undefined && { strength }), ...(keep && { keep }) };
}

function code(item, model, local) {
  const body = { ...bodyOf(item, model), ...settingsOf(item) };
  const files = filesOf(item);
  const listing = (name, text) => {
    const bar = h("div.bar", {}, h("strong", {}, name), copier(text, ".quiet"));
    return h("div.listing", {}, bar, h("pre", { tabindex: 0, dir: "ltr" }, text));
  };
  return h(
    "details.code",
    {},
    h("summary", {}, t("detail.code")),
    madeFrom(item) && h("p.hint", {}, t(item.kind === "image" ? "original.code" : "tune.code")),
    listing("curl", asCurl(body, files, local)),
    listing("Python", asPython(body, item.kind, files, local)),
  );
}

/** A button that asks once more before it acts. */
export function sure(name, question, act) {
  const say = (words) => fill(made.querySelector("span"), words);
  const press = () => {
    if (made.dataset.sure) return act();
    made.dataset.sure = "1";
    say(question);
    return setTimeout(() => {
      delete made.dataset.sure;
      say(name);
    }, 4000);
  };
  const made = button("trash", name, press, { kind: ".quiet.danger" });
  return made;
}

/**
 * Open the large view.
 * @param {object[]} items @param {number} at Which of them first.
 * @param {{modelOf: (item) => object, local: boolean, vary?: (item) => void, reuse?: (item) => void, gone?: (item) => void}} about
 */
export function openDetail(items, at, about) {
  const detail = new Detail(items, at, about);
  document.body.append(detail.dialog);
  detail.dialog.showModal();
  detail.dialog.querySelector(".shut").focus();
}

class Detail {
  constructor(items, at, about) {
    Object.assign(this, { items, at, about });
    const close = () => this.dialog.remove();
    const on = { close, keydown: (event) => this.key(event), click: (event) => this.press(event) };
    this.dialog = h("dialog.detail", { "aria-label": t("detail.title"), on });
    this.render();
  }

  get item() {
    return this.items[this.at];
  }

  key({ key, target }) {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[key];
    if (way && this.items.length > 1 && !target.matches("pre, input, textarea")) this.step(way);
  }

  /** The dialog fills what it shows: a press on itself is one beside it. */
  press({ target }) {
    if (target === this.dialog) this.dialog.close();
  }

  step(way) {
    this.at = (this.at + way + this.items.length) % this.items.length;
    this.render();
    this.dialog.querySelector(way < 0 ? ".previous" : ".next").focus();
    announce(nameOf(this.item, this.about.modelOf(this.item)));
  }

  leave(act) {
    this.dialog.close();
    act(this.item);
  }

  async erase() {
    try {
      await remove(url`/v1/outputs/${this.item.id}`);
      toast(t("detail.deleted"));
      this.leave(this.about.gone);
    } catch (error) {
      complain(error);
    }
  }

  render() {
    const { item, items, about } = this;
    const model = about.modelOf(item);
    const arrow = (sign, name, way, kind) => button(sign, name, () => this.step(way), { bare: true, kind });
    fill(
      this.dialog,
      h(
        "div.stage",
        {},
        media(item, model, items),
        items.length > 1 && arrow("left", t("detail.previous"), -1, ".step.previous"),
        items.length > 1 && arrow("right", t("detail.next"), 1, ".step.next"),
      ),
      h("div.side", {}, recordOf(item, model), this.actions(model), code(item, model, about.local)),
      button("close", t("close"), () => this.dialog.close(), { bare: true, kind: ".shut" }),
    );
  }

  actions(model) {
    const { vary, reuse, gone } = this.about;
    return h(
      "div.actions",
      {},
      isSeen(this.item) && link(contentOf(this.item.id), "down", t("detail.download"), { download: "" }),
      vary && model && button("vary", t("detail.vary"), () => this.leave(vary), { title: t("detail.vary.hint") }),
      reuse && model && button("reset", t("detail.reuse"), () => this.leave(reuse)),
      gone && sure(t("detail.delete"), t("detail.delete.sure"), () => this.erase()),
    );
  }
}
