// Explore: the codes of a model that has them, moved by sliders and along directions.

import { get, post, remove, url, within } from "./api.js";
import { nameOf } from "./detail.js";
import { button, fill, h } from "./dom.js";
import { chips, choicesOf, numberField } from "./fields.js";
import { frames } from "./film.js";
import { isSeen } from "./models.js";
import { failed } from "./pieces.js";
import { outputs, withValues } from "./run.js";
import { labelField } from "./walk.js";
import { t } from "./words.js";

const SHOWN = 8; // sliders before the rest is folded away
const REACH = 3; // a slider goes so many deviations of the prior to each side
const WAIT_MS = 90;
const MOST_PICKED = 32;
const ROLES = ["a", "b", "start"];

/** A draw of the standard normal law. */
function normal() {
  const [u, v] = crypto.getRandomValues(new Uint32Array(2));
  return Math.sqrt(-2 * Math.log((u + 1) / 2 ** 32)) * Math.cos((2 * Math.PI * v) / 2 ** 32);
}

/** The mean of rows of equal length. */
const mean = (rows) => rows[0].map((_, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length);

/** What leads from the codes B to the codes A. */
const direction = (a, b) => mean(a).map((value, i) => value - mean(b)[i]);

/** The bench of codes. @param {object} model With `latent.size`. @returns {Promise<{form: Element, stage: Element}>} */
export async function codes(model, signal) {
  const label = await labelField(model, () => bench.decode());
  const bench = new Codes(model, signal, await pickable(model, signal), label);
  return bench.parts;
}

/** Outputs of this model whose codes can be asked for, the newest first. */
async function pickable(model, signal) {
  const { data } = await get("/v1/outputs?limit=100", { signal });
  const mine = data.filter((o) => o.model === model.id && isSeen(o));
  return withValues(model, mine.slice(0, MOST_PICKED), signal);
}

class Codes {
  constructor(model, signal, outputs, label) {
    Object.assign(this, { model, signal, outputs, label });
    this.size = model.latent.size;
    this.base = Array(this.size).fill(0);
    this.ways = []; // {code, at}: directions and how far along them
    this.roles = new Map(); // id of an output -> "a" or "b"
    this.learned = 0;
    this.pending = null;
    this.look = h("div.shot", {}, h("p.soft.note", {}, t("codes.ready")));
    this.told = h("div", { role: "status" });
    this.directions = h("div.fields.ways");
    this.sliders = this.base.map((_, i) => this.slider(i));
    this.parts = { form: this.form(), stage: h("div", {}, this.look, this.told, this.directions, this.picking()) };
  }

  slider(i) {
    return this.number({ name: t("codes.part", { i: i + 1 }) }, (value) => {
      this.base[i] = value;
    });
  }

  /** A number to move by; `took` keeps it. */
  number(told, took) {
    const onchange = () => {
      took(made.value() ?? 0);
      this.soon();
    };
    const made = numberField({ ...told, low: -REACH, high: REACH, start: 0, onchange });
    return made;
  }

  form() {
    const nodes = this.sliders.map((one) => one.node);
    const rest = nodes.slice(SHOWN);
    const chance = button("dice", t("codes.roll"), () => this.move(this.base.map(normal)));
    const middle = button("reset", t("codes.middle"), () => this.move(this.base.map(() => 0)));
    return h(
      "div.fields",
      {},
      h("p.hint", {}, t("codes.hint")),
      h("div.actions", {}, chance, middle),
      this.label?.node,
      nodes.slice(0, SHOWN),
      rest.length > 0 &&
        h("details", {}, h("summary", {}, t("codes.rest", { n: rest.length })), h("div.fields", {}, rest)),
    );
  }

  /** Go to a code. */
  move(code) {
    this.base = code.map((value) => Number(value.toFixed(4)));
    this.sliders.forEach((one, i) => one.set(Number(this.base[i].toFixed(2))));
    this.decode();
  }

  /** Where the sliders and the directions lead together. */
  get code() {
    return this.base.map((value, i) => this.ways.reduce((sum, { code, at }) => sum + at * code[i], value));
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.decode(), WAIT_MS);
  }

  /** Ask for the picture of the code; what was asked for before no longer matters. */
  async decode() {
    this.pending?.abort();
    const own = (this.pending = within(this.signal));
    try {
      const asked = { seed: 0, latent: [this.code], ...this.label?.body() };
      const made = await outputs(this.model, asked, own.signal);
      const [frame] = frames(this.model, made, () => t("codes.alt"));
      fill(this.told);
      fill(this.look, frame.large());
      this.forget(made[0].id);
    } catch (error) {
      failed(this.told, error);
    }
  }

  /** What a slider only passed through is not kept; where it stands now is. */
  forget(now) {
    if (this.kept) remove(url`/v1/outputs/${this.kept}`).catch(() => {});
    this.kept = now;
  }

  /** The pictures that a direction is made of. */
  picking() {
    const role = chips({ name: t("codes.pick"), start: "a", choices: choicesOf("codes", ROLES) });
    const go = button("right", t("codes.make"), () => this.learn(go));
    const tiles = this.outputs.map((item) => this.tile(item, role));
    return h(
      "section.picking",
      { "aria-label": t("codes.directions") },
      h("h2", {}, t("codes.directions")),
      h("p.soft", {}, t("codes.directions.hint")),
      role.node,
      tiles.length ? h("ul.wall.small", {}, tiles) : h("p.soft", {}, t("codes.none")),
      h("div.actions", {}, go),
    );
  }

  tile(item, role) {
    const name = nameOf(item, this.model);
    const badge = h("span.role");
    const props = { type: "button", title: name, "aria-label": name, "aria-pressed": "false" };
    const [look] = frames(this.model, [item], () => name);
    const tile = h("button.tile", { ...props, on: { click: () => press() } }, look.small(), badge);
    const press = () => {
      if (role.value() === "start") return this.begin(item);
      const next = this.roles.get(item.id) === role.value() ? null : role.value();
      if (next) this.roles.set(item.id, next);
      else this.roles.delete(item.id);
      tile.setAttribute("aria-pressed", String(Boolean(next)));
      return fill(badge, next && t(`codes.${next}`));
    };
    return h("li", {}, tile);
  }

  async encode(ids) {
    const asked = { model: this.model.id, outputs: ids };
    return (await post("/v1/encodings", asked, { signal: this.signal })).data;
  }

  /** Start from the code of an output. */
  async begin(item) {
    try {
      this.move((await this.encode([item.id]))[0]);
      this.look.scrollIntoView({ block: "nearest" });
    } catch (error) {
      failed(this.told, error);
    }
  }

  /** A direction from what was picked. */
  async learn(go) {
    const of = (role) => [...this.roles].filter(([, one]) => one === role).map(([id]) => id);
    const [a, b] = [of("a"), of("b")];
    if (!a.length || !b.length) return fill(this.told, h("p.failure", { role: "alert" }, t("codes.both")));
    go.disabled = true;
    try {
      const found = await this.encode([...a, ...b]);
      this.steer(direction(found.slice(0, a.length), found.slice(a.length)));
    } catch (error) {
      failed(this.told, error);
    }
    go.disabled = false;
    return undefined;
  }

  /** A slider along a direction. */
  steer(code) {
    const way = { code, at: 0 };
    this.ways.push(way);
    const name = t("codes.way", { n: ++this.learned });
    const amount = this.number({ name, hint: t("codes.way.hint") }, (value) => {
      way.at = value;
    });
    const forget = () => {
      this.ways.splice(this.ways.indexOf(way), 1);
      row.remove();
      this.decode();
    };
    const gone = button("trash", t("codes.forget", { name }), forget, { bare: true });
    const row = h("div.way", {}, amount.node, gone);
    this.directions.append(row);
    amount.node.querySelector("input").focus();
  }
}
