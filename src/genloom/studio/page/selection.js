// Many outputs at once: kept as one archive, or deleted.

import { contentOf, isAbort, remove, request, url } from "./api.js";
import { sure } from "./detail.js";
import { announce, button, fill, h, toast } from "./dom.js";
import { isSeen } from "./models.js";
import { complain } from "./pieces.js";
import { t } from "./words.js";
import { zip } from "./zip.js";

const HELD = 409; // it waits for a reviewer, and stays

/** The bar of a selection: how many are chosen, and what becomes of them. */
export class Selection {
  /**
   * @param {{changed: Function, all: () => object[], items: () => object[], gone: (items: Set) => void}} about
   *   Hears that the choice has changed; what can be chosen; the outputs of what is chosen; hears what is deleted.
   */
  constructor(about, signal) {
    Object.assign(this, { about, signal });
    this.chosen = null; // while something can be chosen
    this.node = h("div.selecting");
    this.draw();
  }

  /** Begin or end to choose. */
  turn(on) {
    this.chosen = on ? new Set() : null;
    this.changed();
  }

  /** Choose one or no longer. */
  press(one) {
    if (!this.chosen.delete(one)) this.chosen.add(one);
    this.changed();
  }

  changed() {
    const held = this.node.contains(document.activeElement);
    this.draw();
    if (held) this.node.querySelector("button").focus(); // the one that had it is another by now
    this.about.changed();
    if (this.chosen) announce(this.told());
  }

  told() {
    return t("gallery.chosen", { n: this.about.items().length });
  }

  draw() {
    if (!this.chosen) return fill(this.node, button("tick", t("gallery.select"), () => this.turn(true)));
    const items = this.about.items();
    const all = () => {
      this.chosen = new Set(this.about.all());
      this.changed();
    };
    const keep = button("down", t("gallery.zip"), () => this.save(items), { disabled: !items.some(isSeen) });
    const erase = sure(t("detail.delete"), t("gallery.sure", { n: items.length }), () => this.erase(items));
    erase.disabled = !items.length;
    return fill(
      this.node,
      h("strong", {}, this.told()),
      button("gallery", t("gallery.all"), all, { kind: ".quiet" }),
      keep,
      erase,
      button("close", t("gallery.done"), () => this.turn(false), { kind: ".quiet" }),
    );
  }

  /** Do something with one after the other, and say how far it is. */
  async each(items, act) {
    const said = h("span.soft");
    const meter = h("progress", { max: items.length, value: 0, "aria-label": this.told() });
    fill(this.node, meter, said);
    for (const [i, item] of items.entries()) {
      fill(said, t("make.of", { step: i + 1, steps: items.length }));
      meter.value = i;
      await act(item);
    }
  }

  async save(items) {
    const entries = [];
    try {
      await this.each(items.filter(isSeen), async ({ id }) => {
        const answer = await request("GET", contentOf(id), undefined, { signal: this.signal });
        entries.push({ path: fileName(answer, id), file: await answer.blob() });
      });
      hand(await zip(entries), "genloom.zip");
    } catch (error) {
      complain(error);
    }
    this.changed();
  }

  async erase(items) {
    const gone = new Set();
    let failure = null;
    try {
      await this.each(items, async (item) => {
        try {
          await remove(url`/v1/outputs/${item.id}`, { signal: this.signal });
          gone.add(item);
        } catch (error) {
          failure = error;
          if (error.status !== HELD) throw error;
        }
      });
    } catch (error) {
      if (isAbort(error)) return;
    }
    if (failure) complain(failure);
    else toast(t("gallery.gone", { n: gone.size }));
    this.about.gone(gone);
    if (failure) this.changed();
    else this.turn(false);
  }
}

/** What the server calls a file, without folders; else its id. */
function fileName(answer, id) {
  const [, name = id] = answer.headers.get("content-disposition")?.match(/filename="([^"]+)"/) ?? [];
  return name.replace(/[/\\]/g, "-");
}

/** Give a file to the reader. */
function hand(blob, name) {
  const href = URL.createObjectURL(blob);
  h("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}
