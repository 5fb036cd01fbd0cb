// Frames in a row, to walk through: one large, a scrubber, and a strip of small ones.

import { contentOf } from "./api.js";
import { nameOf } from "./detail.js";
import { announce, button, fill, h, icon } from "./dom.js";
import { image, isSeen, pointsOf } from "./models.js";
import { dots } from "./plot.js";
import { t } from "./words.js";

const PACE_MS = 140; // between frames that play by themselves

/**
 * What a film is made of.
 * @typedef {{text: string, large: () => Node, small: () => Node}} Frame Its words, and how it looks.
 */

/** One film on the page; `seen` hears which frame is on the stage. */
export class Film {
  constructor({ name, seen = () => {} }) {
    this.frames = [];
    this.at = 0;
    this.seen = seen;
    this.timer = null;
    this.stage = h("div.shot", {});
    this.said = h("p.said");
    this.scrub = h("input.slider", {
      type: "range",
      min: 0,
      max: 0,
      step: 1,
      "aria-label": name,
      on: { input: () => this.show(Number(this.scrub.value)) },
    });
    this.player = button("play", t("film.play"), () => this.play(), { bare: true });
    this.row = h("ol.reel", { "aria-label": name });
    this.node = h(
      "section.film",
      { "aria-label": name, hidden: true },
      this.stage,
      h("div.scrubbing", {}, this.player, this.scrub, this.said),
      this.row,
    );
  }

  /** Show these frames, at the place that is looked at now; `last` goes to the end. */
  set(frames, { last = false } = {}) {
    this.pause();
    this.frames = frames;
    this.node.hidden = !frames.length;
    this.scrub.max = Math.max(0, frames.length - 1);
    this.buttons = frames.map((frame, i) =>
      h(
        "button.frame",
        { type: "button", "aria-label": frame.text, title: frame.text, on: { click: () => this.show(i) } },
        frame.small(),
      ),
    );
    fill(
      this.row,
      this.buttons.map((one) => h("li", {}, one)),
    );
    if (frames.length) this.show(last ? frames.length - 1 : Math.min(this.at, frames.length - 1));
  }

  show(at) {
    this.at = at;
    const { text, large } = this.frames[at];
    fill(this.stage, large());
    fill(this.said, text);
    this.scrub.value = at;
    this.scrub.setAttribute("aria-valuetext", text);
    this.scrub.style.setProperty("--at", `${(100 * at) / Math.max(1, this.frames.length - 1)}%`);
    this.buttons.forEach((one, i) => {
      if (i === at) one.setAttribute("aria-current", "true");
      else one.removeAttribute("aria-current");
    });
    this.keepInSight(this.buttons[at]);
    this.seen(at);
  }

  /** The strip follows, and the page stays where it is. */
  keepInSight(one) {
    const { offsetLeft: left, offsetWidth: width } = one;
    const { scrollLeft, clientWidth } = this.row;
    if (left < scrollLeft || left + width > scrollLeft + clientWidth)
      this.row.scrollLeft = left - (clientWidth - width) / 2;
  }

  /** Run through the frames once, from the start where it stands at the end. */
  play() {
    if (this.timer) return this.pause();
    if (this.at === this.frames.length - 1) this.show(0);
    this.sign("pause", t("film.pause"));
    this.timer = setInterval(() => {
      if (!this.node.isConnected || this.at >= this.frames.length - 1) return this.pause();
      return this.show(this.at + 1);
    }, PACE_MS);
    return undefined;
  }

  pause() {
    clearInterval(this.timer);
    if (this.timer) {
      this.sign("play", t("film.play"));
      announce(this.said.textContent);
    }
    this.timer = null;
  }

  sign(name, words) {
    fill(this.player, icon(name));
    this.player.setAttribute("aria-label", words);
    this.player.title = words;
  }
}

/** A picture as a frame; `made` gets what it shows, which is `alt` where the frame's words say something else. */
export const pictureFrame = (made, text, alt = text) => ({ text, large: () => made(alt), small: () => made("") });

/** A text as a frame. */
export function textFrame(told, text) {
  return {
    text,
    large: () => h("p.prose", { dir: "auto" }, told),
    small: () => h("span.snip", { dir: "auto" }, told.slice(-60)),
  };
}

/** Points as a frame: its own, among all others faintly. */
export function pointFrame(own, all, text) {
  const drawn = () => dots([...all.map(({ values }) => ({ values, faint: true })), own]);
  return { text, large: drawn, small: drawn };
}

/** Outputs as frames. @param {Array<object>} items With `values` for points and `text` for texts. @param {(i: number) => string} words */
export function frames(model, items, words) {
  return items.map((item, i) => {
    const text = words(i);
    if (!isSeen(item)) return { text: `${text}. ${t("item.held")}`, large: held, small: () => icon("held") };
    if (model.kind === "text") return textFrame(item.text ?? "", text);
    if (model.kind === "points") return pointFrame(pointsOf(model, [item])[0], items.filter(isSeen), text);
    const made = (alt) => image(model, contentOf(item.id), alt);
    return pictureFrame(made, text, nameOf({ ...item, model: model.id }, model));
  });
}

const held = () => h("div.held", {}, icon("held"), h("strong", {}, t("item.held")));
