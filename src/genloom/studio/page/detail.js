// One output, large, with what makes it again.

import { contentOf, remove, request } from "./api.js";
import { asCurl, asPython } from "./code.js";
import { announce, button, fill, h, icon, toast } from "./dom.js";
import { groupOf, isSeen, isSmall, labelOf } from "./models.js";
import { madeFrom } from "./original.js";
import { dots } from "./plot.js";
import { known, moment, number, t } from "./words.js";

/** What a sampler was told, whether the record keeps it alone or beside the form of the file. */
export const samplingOf = (options) => options?.sampling ?? options ?? {};

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

/** The picture, text or values of an output, as large as there is room. */
function media(item, model, items) {
  if (!isSeen(item))
    return h("div.held", {}, icon("held"), h("strong", {}, t("item.held")), h("span", {}, t("item.held.hint")));
  if (item.kind === "image") {
    const crisp = isSmall(model) ? "img.crisp" : "img";
    const image = h(crisp, { src: contentOf(item.id), alt: nameOf(item, model) });
    return item.source ? h("div.twin", {}, h(crisp, { src: item.source, alt: t("original.source") }), image) : image;
  }
  if (item.kind === "text") {
    const page = h("pre.page", { dir: "auto", tabindex: 0 }, item.text ?? "");
    if (item.text === undefined)
      request("GET", contentOf(item.id))
        .then((a) => a.text())
        .then((text) => fill(page, text))
        .catch((e) => fill(page, e.message));
    return page;
  }
  const others = items.filter((one) => one.model === item.model).map(({ values }) => ({ values, faint: true }));
  return h(
    "div.point",
    {},
    dots([...others, { values: item.values, group: groupOf(model, item.label) }]),
    h(
      "p.values",
      {},
      (item.values ?? []).map((v) => h("span", {}, number(v, 4))),
    ),
  );
}

/** What an output is called where it cannot be seen. */
export function nameOf(item, model) {
  return t("item.image", {
    model: item.model ?? model?.id ?? "",
    label: labelOf(model, item.label) ?? t("item.unlabelled"),
    seed: item.seed,
  });
}

function record(item, model) {
  const rows = [
    [t("detail.label"), labelOf(model, item.label)],
    [t("detail.seed"), item.seed],
    [t("detail.model"), item.model],
    [t("detail.prompt"), item.prompt],
    ...Object.entries(samplingOf(item.options)).map(([k, v]) => [
      known(`option.${k}`, k.replaceAll("_", " ")),
      typeof v === "object" ? JSON.stringify(v) : v,
    ]),
    [t("detail.created"), moment(item.created)],
    [t("detail.state"), known(`state.${item.state}`, item.state)],
    [t("detail.id"), item.id],
  ];
  return h(
    "dl.record",
    {},
    rows
      .filter(([, v]) => v !== null && v !== undefined && v !== "")
      .map(([k, v]) => [h("dt", {}, k), h("dd", { dir: "auto" }, String(v))]),
  );
}

/** The request that makes an output again. */
export function bodyOf(item, model) {
  const label = labelOf(model, item.label);
  return {
    model: item.model,
    n: 1,
    seed: item.seed,
    ...(label !== null && { label }),
    ...(item.prompt && { prompt: item.prompt }),
    options: samplingOf(item.options),
  };
}

/** The files that a request sends beside its words. */
function filesOf(item) {
  const masked = item.masked ?? item.options?.mask;
  return madeFrom(item) ? ["source", ...(masked ? ["mask"] : [])] : [];
}

/** What is to become of those, as a record keeps it or this page. */
function settingsOf(item) {
  const { strength, keep } = item.source ? item : (item.options ?? {});
  return { ...(strength !== undefined && { strength }), ...(keep && { keep }) };
}

function code(item, model, local) {
  const body = { ...bodyOf(item, model), ...settingsOf(item) };
  const files = filesOf(item);
  const listing = (name, text) =>
    h(
      "div.listing",
      {},
      h(
        "div.bar",
        {},
        h("strong", {}, name),
        button("copy", t("copy"), () => copy(text), { kind: ".quiet" }),
      ),
      h("pre", { tabindex: 0, dir: "ltr" }, text),
    );
  return h(
    "details.code",
    {},
    h("summary", {}, t("detail.code")),
    madeFrom(item) && h("p.hint", {}, t("original.code")),
    listing("curl", asCurl(body, files, local)),
    listing("Python", asPython(body, item.kind, files, local)),
  );
}

/** A button that asks once more before it acts. */
export function sure(name, question, act) {
  const made = button(
    "trash",
    name,
    () => {
      if (made.dataset.sure) return act();
      made.dataset.sure = "1";
      made.querySelector("span").textContent = question;
      return setTimeout(() => {
        delete made.dataset.sure;
        made.querySelector("span").textContent = name;
      }, 4000);
    },
    { kind: ".quiet.danger" },
  );
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
    this.dialog = h("dialog.detail", {
      "aria-label": t("detail.title"),
      on: {
        close: () => this.dialog.remove(),
        keydown: (event) => this.key(event),
        click: (event) => this.press(event),
      },
    });
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
      await remove(`/v1/outputs/${encodeURIComponent(this.item.id)}`);
      toast(t("detail.deleted"));
      this.leave(this.about.gone);
    } catch (error) {
      toast(error.message, { bad: true });
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
      h("div.side", {}, record(item, model), this.actions(model), code(item, model, about.local)),
      button("close", t("close"), () => this.dialog.close(), { bare: true, kind: ".shut" }),
    );
  }

  actions(model) {
    const { vary, reuse, gone } = this.about;
    const file = { href: contentOf(this.item.id), download: "" };
    return h(
      "div.actions",
      {},
      isSeen(this.item) && h("a.button", file, icon("down"), h("span", {}, t("detail.download"))),
      vary && model && button("vary", t("detail.vary"), () => this.leave(vary), { title: t("detail.vary.hint") }),
      reuse && model && button("reset", t("detail.reuse"), () => this.leave(reuse)),
      gone && sure(t("detail.delete"), t("detail.delete.sure"), () => this.erase()),
    );
  }
}
