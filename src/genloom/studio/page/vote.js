// Judge: a blind vote between two models. Who made what is told when the vote is over.

import { contentOf, get, post, url } from "./api.js";
import { announce, button, fill, h, icon } from "./dom.js";
import { chips, choicesOf, numberField, select } from "./fields.js";
import { image, isSeen } from "./models.js";
import { failed, fetched, nothing } from "./pieces.js";
import { outputs } from "./run.js";
import { roll } from "./seed.js";
import { worker } from "./walk.js";
import { given, number, t } from "./words.js";

const KEYS = { 1: "left", ArrowLeft: "left", 2: "right", ArrowRight: "right", 0: "tie", ArrowDown: "tie" };
const CHOICES = { left: "left", tie: "even", right: "right" };

/** Pairs that may be compared blindly: what is seen tells nothing of its maker. */
const votable = (list) =>
  list.filter(({ kind, source }) => (kind === "image" || kind === "text") && !source?.needed);

/** The place of the vote. @param {object[]} list Models. */
export function voting(list, signal) {
  const open = votable(list);
  if (open.length < 2) return nothing("judge", "vote.few");
  const booth = h("div.booth", { tabindex: -1 });
  fill(booth, setting(open, booth, signal));
  return booth;
}

function setting(open, booth, signal) {
  const ids = open.map(({ id }) => id);
  const first = select({ name: t("vote.a"), choices: ids, start: ids[0] });
  const second = select({ name: t("vote.b"), choices: ids, start: ids[1] });
  const seeds = chips({ name: t("vote.seeds"), start: "same", choices: choicesOf("vote", ["same", "own"]) });
  const rounds = numberField({ name: t("vote.rounds"), low: 1, high: 64, whole: true, start: 12 });
  const told = h("div", { role: "status" });
  const go = worker(
    "judge",
    t("vote.go"),
    async (stop) => {
      const models = [first, second].map((one) => open.find(({ id }) => id === one.value()));
      fill(told);
      if (models[0] === models[1] || models[0].kind !== models[1].kind)
        return fill(told, h("p.failure", { role: "alert" }, t("vote.unlike")));
      const pairs = await draw(models, rounds.inside(12), seeds.value() === "same", stop);
      return new Vote(models, pairs, booth, () => fill(booth, setting(open, booth, signal)), signal).start();
    },
    signal,
  );
  const fields = h("div.fields", {}, first.node, second.node, seeds.node, rounds.node, told, go);
  return h("section.panel.setting", {}, h("h2", {}, t("vote.title")), h("p.soft", {}, t("vote.lead")), fields);
}

/** Outputs of both models in pairs, each with its sides shuffled. */
async function draw(models, n, same, signal) {
  const seed = roll();
  const ask = (model, from) => outputs(model, { n, seed: from, options: {} }, signal);
  const [a, b] = [await ask(models[0], seed), await ask(models[1], same ? seed : roll())];
  const coins = crypto.getRandomValues(new Uint8Array(n));
  return a
    .map((item, i) => (coins[i] & 1 ? { left: b[i], right: item, swapped: true } : { left: item, right: b[i] }))
    .filter(({ left, right }) => isSeen(left) && isSeen(right));
}

class Vote {
  constructor(models, pairs, booth, again, signal) {
    Object.assign(this, { models, pairs, booth, again, signal });
    this.at = 0;
    this.busy = false;
    this.given = []; // {pair, choice}
    this.press = (event) => this.key(event);
  }

  start() {
    if (!this.pairs.length) return this.finish();
    addEventListener("keydown", this.press, { signal: this.signal });
    this.told = h("div", { role: "status" });
    this.count = h("p.soft.count");
    this.meter = h("progress.thin", { max: this.pairs.length, value: 0, "aria-label": t("vote.progress") });
    this.sides = h("div.sides");
    const choice = (name) =>
      button(CHOICES[name], t(`vote.${name}`), () => this.choose(name), { kind: `.choice.${name}` });
    const stop = button("close", t("vote.stop"), () => this.finish(), { kind: ".quiet" });
    fill(
      this.booth,
      h("h2.question", { tabindex: -1 }, t("vote.question")),
      this.meter,
      this.sides,
      h("div.choices", {}, Object.keys(CHOICES).map(choice)),
      h("p.hint", {}, t("vote.keys")),
      this.told,
      h("div.foot", {}, this.count, stop),
    );
    this.show();
    this.booth.querySelector("h2").focus();
    return undefined;
  }

  show() {
    const { left, right } = this.pairs[this.at];
    const [model] = this.models;
    const side = (item, name) => {
      const picture = () => image(model, contentOf(item.id), t(`vote.${name}.alt`));
      const shown = model.kind === "image" ? picture() : text(item, this.signal);
      return h("button.side", { type: "button", on: { click: () => this.choose(name) } }, shown);
    };
    fill(this.sides, side(left, "left"), side(right, "right"));
    fill(this.count, t("vote.of", { i: this.at + 1, n: this.pairs.length }));
    this.meter.value = this.at;
    for (const item of Object.values(this.pairs[this.at + 1] ?? {}))
      if (model.kind === "image" && item.id) new Image().src = contentOf(item.id); // there when it is its turn
  }

  key(event) {
    const choice = KEYS[event.key];
    if (!choice || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (!this.sides.isConnected || event.target.matches("input, select, textarea")) return;
    event.preventDefault();
    this.choose(choice);
  }

  /** Count a choice; the next pair comes when the server has it. */
  async choose(choice) {
    if (this.busy) return;
    this.busy = true;
    const pair = this.pairs[this.at];
    try {
      await post("/v1/votes", { left: pair.left.id, right: pair.right.id, choice }, { signal: this.signal });
      this.given.push({ pair, choice });
      this.at += 1;
      fill(this.told);
      if (this.at === this.pairs.length) await this.finish();
      else this.show();
    } catch (error) {
      failed(this.told, error);
    }
    this.busy = false;
  }

  /** Tell who made what, and what all votes say. */
  async finish() {
    removeEventListener("keydown", this.press);
    const [a, b] = this.models.map(({ id }) => id);
    const again = button("reset", t("vote.again"), this.again);
    const over = h("h2", { tabindex: -1 }, t("vote.over"));
    fill(this.booth, over, h("p.soft", {}, t("loading")));
    try {
      const found = await get(url`/v1/votes?a=${a}&b=${b}`, { signal: this.signal });
      fill(this.booth, over, preference(found), unveiled(this.given, [a, b]), again);
      announce(this.booth.querySelector(".preference p").textContent);
    } catch (error) {
      failed(this.booth, error);
    }
    this.booth.querySelector("h2")?.focus();
  }
}

function text(item, signal) {
  const page = h("p.prose", { dir: "auto" }, item.text ?? t("loading"));
  return item.text === undefined ? fetched(page, contentOf(item.id), { signal }, t("review.hidden")) : page;
}

/** The share of the first model among decided votes, as a bar with its interval. */
function preference({ a, b, votes, a_wins: wins, b_wins: losses, ties, preference: share, low, high }) {
  const percent = (v) => number(100 * v, 3);
  const decided = given(share);
  const words = !decided
    ? t("vote.none")
    : t(low > 0.5 ? "vote.prefers" : high < 0.5 ? "vote.opposes" : "vote.undecided", { a, b });
  const bar = h("div.share", { "aria-hidden": "true" }, h("span.span"), h("span.spot"), h("span.half"));
  if (decided)
    for (const [name, value] of Object.entries({ at: share, low, high }))
      bar.style.setProperty(`--${name}`, `${100 * value}%`);
  return h(
    "section.panel.preference",
    {},
    h("div.ends", {}, h("strong", { dir: "auto" }, b), h("strong", { dir: "auto" }, a)),
    bar,
    h("p", { dir: "auto" }, words),
    decided && h("p.soft", {}, t("vote.share", { a, share: percent(share), low: percent(low), high: percent(high) })),
    h("p.soft", {}, t("vote.tally", { votes, wins, losses, ties, a, b })),
  );
}

/** Every pair of this vote with the names of its makers. */
function unveiled(votes, [a, b]) {
  const name = ({ swapped }, side) => ((side === "left") === !swapped ? a : b);
  const shot = (pair, side, choice) =>
    h(
      choice === side ? "figure.won" : "figure",
      {},
      pair[side].kind === "image" && h("img.crisp", { src: contentOf(pair[side].id), alt: "", loading: "lazy" }),
      h("figcaption", { dir: "auto" }, name(pair, side), choice === side && icon("tick")),
    );
  const told = ({ pair, choice }) =>
    h(
      "li.pair-of",
      {},
      ["left", "right"].map((side) => shot(pair, side, choice)),
      h("p.soft", {}, choice === "tie" ? t("vote.tie") : t("vote.chose", { name: name(pair, choice) })),
    );
  return h("details", {}, h("summary", {}, t("vote.unveil")), h("ol.pairs", {}, votes.map(told)));
}
