// Gallery: everything that was made with this key, the newest first.

import { contentOf, get, read, url, within } from "../api.js";
import { nameOf, openDetail } from "../detail.js";
import { button, fill, h, icon, whenSeen } from "../dom.js";
import { chips } from "../fields.js";
import { heldTile, isSeen, models, pointsOf, thumbnail } from "../models.js";
import { complain, head, nothing } from "../pieces.js";
import { dots } from "../plot.js";
import { pointOf } from "../run.js";
import { Selection } from "../selection.js";
import { known, t } from "../words.js";
import { makeLike } from "./make.js";

const PAGE = 100;
const FILL = 30; // tiles that one look asks for
const TOGETHER_S = 2; // points made within so many seconds of each other are shown as one plot

/** Show the view. @param {object} place See main.js. */
export async function gallery({ root, session, signal }) {
  const wall = new Wall(await models({ signal }), session, signal);
  fill(root, head("gallery"), wall.filter, wall.selection.node, wall.node, wall.foot);
  await wall.more();
}

class Wall {
  constructor(list, session, signal) {
    Object.assign(this, { list, session, signal });
    this.groups = [];
    this.model = null; // the hash of the one whose outputs are shown, null for all
    this.further = false;
    this.filter = h("div.filter");
    this.node = h("ol.wall");
    this.foot = h("div.more");
    const firsts = () => this.groups.map(([one]) => one);
    const changed = () => this.mark();
    const about = { changed, all: firsts, items: () => this.chosen, gone: (items) => this.gone(items) };
    this.selection = new Selection(about, signal);
  }

  modelOf(item) {
    return this.list.find((model) => model.id === item.model);
  }

  /** The outputs of the tiles that are selected; a tile is known by its first. */
  get chosen() {
    return this.groups.filter(([one]) => this.selection.chosen?.has(one)).flat();
  }

  press(group) {
    if (this.selection.chosen) this.selection.press(group[0]);
    else this.open(group);
  }

  open(group) {
    const items = group[0].kind === "points" ? group : this.groups.filter(([one]) => one.kind !== "points").flat();
    openDetail(items, items.indexOf(group[0]), {
      modelOf: (item) => this.modelOf(item),
      local: this.session.local,
      gone: (item) => this.gone(new Set([item])),
      vary: (one) => makeLike(one, true),
      reuse: (one) => makeLike(one, false),
    });
  }

  place(group) {
    return h("li", {}, face(group, this.modelOf(group[0]), () => this.press(group), this.signal));
  }

  /** Show which tiles are selected. */
  mark() {
    const { chosen } = this.selection;
    [...this.node.children].forEach(({ firstChild: tile }, i) => {
      if (chosen) tile.setAttribute("aria-pressed", String(chosen.has(this.groups[i][0])));
      else tile.removeAttribute("aria-pressed");
    });
  }

  gone(items) {
    this.asked.abort();
    this.groups = this.groups.map((group) => group.filter((one) => !items.has(one))).filter((group) => group.length);
    fill(
      this.node,
      this.groups.map((group) => this.place(group)),
    );
    if (this.groups.length) this.finish();
    else this.more().catch(complain);
  }

  /** Show the outputs of one model, or all. */
  only(hash) {
    this.model = hash;
    this.groups = [];
    fill(this.node);
    fill(this.foot);
    this.selection.turn(false);
    this.more().catch(complain);
  }

  /** Chips of the models that are served and of those that made what is there; none where there is no choice. */
  choices() {
    const made = this.groups.map(([one]) => [one.model_hash, one.model]);
    const all = new Map([...this.list.map(({ id, hash }) => [hash, id]), ...made].filter(([hash]) => hash));
    const choices = [{ value: null, text: t("gallery.every") }, ...[...all].map(([value, text]) => ({ value, text }))];
    const onchange = (value) => this.only(value);
    if (all.size > 1) fill(this.filter, chips({ name: t("detail.model"), start: null, choices, onchange }).node);
  }

  async more() {
    this.asked?.abort(); // by now it no longer matters
    const { signal } = (this.asked = within(this.signal));
    const begin = Math.max(0, this.groups.length - 1); // the last plot may go on
    const wanted = this.groups.length + FILL;
    let page;
    do {
      const last = this.groups.at(-1)?.at(-1);
      const which = [this.model && url`&model=${this.model}`, last && url`&after=${last.id}`].filter(Boolean);
      page = await get(`/v1/outputs?limit=${PAGE}${which.join("")}`, { signal });
      this.groups = grouped([...this.groups.flat(), ...page.data]);
    } while (page.has_more && this.groups.length < wanted);
    this.further = page.has_more;
    if (!this.filter.hasChildNodes() && this.groups.length) this.choices();
    while (this.node.children.length > begin) this.node.lastChild.remove();
    this.node.append(...this.groups.slice(begin).map((group) => this.place(group)));
    this.finish();
  }

  finish() {
    this.mark();
    const further = this.further && button("down", t("more"), () => this.more().catch(complain));
    this.selection.node.hidden = !this.groups.length;
    fill(this.foot, !this.groups.length && empty(), further);
  }
}

/** Outputs as tiles: points that were made together share one. */
function grouped(outputs) {
  const groups = [];
  for (const item of outputs) {
    const last = groups.at(-1)?.[0];
    const joined =
      item.kind === "points" &&
      isSeen(item) &&
      last?.kind === "points" &&
      isSeen(last) &&
      last.model === item.model &&
      Math.abs(last.created - item.created) <= TOGETHER_S;
    if (joined) groups.at(-1).push(item);
    else groups.push([item]);
  }
  return groups;
}

const empty = () =>
  nothing("gallery", "gallery.empty", h("a.button.primary", { href: "#/make" }, t("gallery.make")));

function face(group, model, open, signal) {
  const [item] = group;
  const name = group.length > 1 ? t("make.again", { model: item.model, n: group.length }) : nameOf(item, model);
  const props = { type: "button", title: name, "aria-label": name, on: { click: open } };
  if (!isSeen(item)) return heldTile("button", known("state", item.state), props);
  if (item.kind === "image") return h("button.tile", props, thumbnail(model, item.id));
  const points = item.kind === "points";
  const node = h(points ? "button.tile.dotted" : "button.tile.words", props, icon(points ? "points" : "text"));
  const look = points ? plotted : beginning;
  whenSeen(node, () =>
    look(group, model, signal)
      .then((part) => fill(node, part))
      .catch(() => {}),
  ); // the sign stays where the bytes cannot be had
  return node;
}

async function plotted(group, model, signal) {
  await Promise.all(
    group.map(async (item) => {
      item.values ??= await pointOf(item.id, signal);
    }),
  );
  return dots(pointsOf(model, group));
}

async function beginning([item], model, signal) {
  item.text ??= await read(contentOf(item.id), { signal });
  return h("span.snip", { dir: "auto" }, item.text.slice(0, 160));
}
