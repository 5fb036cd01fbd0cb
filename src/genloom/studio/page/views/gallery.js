// Gallery: everything that was made with this key, the newest first.

import { contentOf, get, read, url } from "../api.js";
import { nameOf, openDetail } from "../detail.js";
import { button, fill, h, icon, whenSeen } from "../dom.js";
import { heldTile, isSeen, models, pointsOf, thumbnail } from "../models.js";
import { complain, head, nothing } from "../pieces.js";
import { dots } from "../plot.js";
import { pointOf } from "../run.js";
import { known, t } from "../words.js";
import { makeLike } from "./make.js";

const PAGE = 100;
const FILL = 30; // tiles that one look asks for
const TOGETHER_S = 2; // points made within so many seconds of each other are shown as one plot

/** Show the view. @param {object} place See main.js. */
export async function gallery({ root, session, signal }) {
  const list = await models({ signal });
  const modelOf = (item) => list.find((model) => model.id === item.model);
  const wall = h("ol.wall");
  const foot = h("div.more");
  let groups = [];
  fill(root, head("gallery"), wall, foot);

  const place = (group) => tile(group, modelOf(group[0]), () => open(group), signal);
  function open(group) {
    const items = group[0].kind === "points" ? group : groups.filter(([one]) => one.kind !== "points").flat();
    openDetail(items, items.indexOf(group[0]), {
      modelOf,
      local: session.local,
      gone,
      vary: (one) => makeLike(one, true),
      reuse: (one) => makeLike(one, false),
    });
  }
  function gone(item) {
    groups = groups.map((group) => group.filter((one) => one !== item)).filter((group) => group.length);
    fill(wall, groups.map(place));
    if (!groups.length) fill(foot, empty());
  }
  async function more() {
    const begin = Math.max(0, groups.length - 1); // the last plot may go on
    const wanted = groups.length + FILL;
    let page;
    do {
      const last = groups.at(-1)?.at(-1);
      page = await get(`/v1/outputs?limit=${PAGE}${last ? url`&after=${last.id}` : ""}`, { signal });
      groups = grouped([...groups.flat(), ...page.data]);
    } while (page.has_more && groups.length < wanted);
    while (wall.children.length > begin) wall.lastChild.remove();
    wall.append(...groups.slice(begin).map(place));
    const further = page.has_more && button("down", t("more"), () => more().catch(complain));
    fill(foot, !groups.length && empty(), further);
  }
  await more();
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

function tile(group, model, open, signal) {
  return h("li", {}, face(group, model, open, signal));
}

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
