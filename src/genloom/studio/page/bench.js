// The bench of the view Make: the settings on one side, what they make on the other.

import { isAbort } from "./api.js";
import { controls } from "./controls.js";
import { bodyOf, openDetail } from "./detail.js";
import { announce, button, fill, h, icon, toast } from "./dom.js";
import { face, isSeen, picker, schemaOf } from "./models.js";
import { madeFrom } from "./original.js";
import { trouble } from "./pieces.js";
import { beside, sheet } from "./results.js";
import { generate } from "./run.js";
import { strip } from "./strip.js";
import { current, duration, number, t } from "./words.js";

const AROUND = 4; // seeds before and after one, for its variations
const MOST_PAST = 30;
const drafts = new Map(); // id of a model -> what was filled in, while the page is open
const past = []; // generations of this visit, the newest first

/** All that is on the page in Make, and the run that is under way. */
export class Bench {
  constructor(list, model, recent, session) {
    this.list = list;
    this.session = session;
    this.language = current();
    this.model = model;
    this.form = null;
    this.running = null;
    this.settings = h("div.settings");
    this.stage = h("div.canvas", {}, ready());
    this.status = h("p.status");
    this.unread = h("p.soft.unread", { role: "status", dir: "auto" });
    this.meter = h("progress.thin", { max: 1, hidden: true, "aria-label": t("make.results") });
    this.go = button("make", t("make.generate"), () => (this.running ? this.stop() : this.run()), {
      kind: ".primary.go",
    });
    this.history = h("div");
    const launch = h("div.launch", {}, this.go, h("small.hint", {}, t("make.keys")));
    const panel = h("section.panel", { "aria-label": t("make.settings") }, this.settings, launch);
    const line = h("div.line", {}, this.status, this.meter);
    const parts = [line, this.unread, this.stage, this.history];
    const results = h("section.results", { "aria-label": t("make.results") }, parts);
    this.node = h(
      "div.make",
      {},
      h("h1.hidden", { tabindex: -1 }, t("nav.make")),
      picker(list, recent, this.model.id, (model) => this.pick(model)),
      h("div.bench", {}, panel, results),
    );
    if (past.length) this.show(past[0]);
  }

  /** Change to a model, with a draft or with what was filled in for it before. */
  async pick(model, draft) {
    if (this.form) drafts.set(this.model.id, this.form.draft());
    this.model = model;
    for (const input of this.node.querySelectorAll("input[name=model]")) input.checked = input.value === model.id;
    const schema = await schemaOf(model.id);
    if (this.model !== model) return; // another was picked meanwhile
    this.form = controls(model, schema, draft ?? drafts.get(model.id));
    fill(this.settings, this.form.node);
  }

  /** End, and keep what was filled in. @returns {string} The id of the model. */
  leave() {
    this.stop();
    if (this.form) drafts.set(this.model.id, this.form.draft());
    return this.model.id;
  }

  /** Cancel what is under way, at once. */
  stop() {
    this.running?.abort();
  }

  /** Generate. @param {{mark?: number}} options A seed to outline among the results. */
  async run({ mark } = {}) {
    if (!this.form) return;
    this.stop();
    const missing = this.form.missing();
    if (missing) return toast(missing, { bad: true });
    const { model } = this;
    const body = this.form.body();
    const own = (this.running = new AbortController());
    const { original } = this.form.draft();
    const work = { model, body, mark, original, generation: null };
    const paper = this.paper(work, body.n);
    this.begin(body);
    const start = performance.now();
    try {
      work.generation = await generate(
        model,
        body,
        {
          preview: (step, shown) => {
            this.progress(step, body.options.steps);
            paper.preview?.(step, shown);
          },
          text: (index, piece) => paper.text?.(index, piece),
        },
        own.signal,
      );
      this.finish(paper, work, (performance.now() - start) / 1000);
    } catch (error) {
      if (this.running === own) this.failed(error);
    }
    if (this.running === own) this.idle();
  }

  /** An empty sheet on the stage. */
  paper(work, n) {
    const earlier = past
      .filter((p) => p.model.id === work.model.id && p !== work)
      .flatMap((p) => p.generation.data.map((item) => item.values).filter(Boolean));
    const paper = sheet(work.model, n, {
      mark: work.mark,
      prompt: work.body.prompt,
      earlier,
      onopen: (i) => this.open(work, i),
    });
    this.stage.classList.remove("stopped");
    fill(this.unread);
    fill(this.stage, beside(work.body.source, work.model, paper.node));
    return paper;
  }

  begin(body) {
    this.stage.setAttribute("aria-busy", "true");
    this.busy(true);
    this.meter.removeAttribute("value");
    this.say(t("make.working", { n: body.n }));
    const hidden = this.stage.getBoundingClientRect().top > innerHeight / 2; // on a phone, below the settings
    if (hidden)
      this.status.scrollIntoView({
        behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth",
      });
  }

  idle() {
    this.running = null;
    this.stage.removeAttribute("aria-busy");
    this.busy(false);
  }

  busy(on) {
    fill(this.go, icon(on ? "close" : "make"), h("span", {}, t(on ? "make.stop" : "make.generate")));
    this.go.classList.toggle("busy", on);
    this.meter.hidden = !on;
  }

  say(words) {
    fill(this.status, words);
    announce(words);
  }

  progress(step, steps) {
    if (steps) this.meter.value = Math.min(1, step / steps);
    fill(this.status, t(steps ? "make.of" : "make.step", { step: number(step), steps }));
  }

  /** What of the request was not read. */
  confess({ ignored }) {
    fill(this.unread, ignored && t("make.ignored", { what: ignored }));
  }

  finish(paper, work, seconds) {
    past.unshift(work);
    past.length = Math.min(past.length, MOST_PAST);
    paper.finish(work.generation);
    this.confess(work.generation);
    if (this.model === work.model) this.form.showSeed(work.generation.seed);
    this.face(work);
    this.say(t("make.done", { n: work.generation.data.length, time: duration(seconds) }));
    this.recall(work);
  }

  /** What was made in this visit, below what is on the stage. */
  recall(work) {
    const row = strip(past, work, (one) => this.restore(one));
    fill(this.history, row);
  }

  /** The newest pictures of a model on its card. */
  face({ model, generation }) {
    if (model.kind !== "image" || !generation.data.some(isSeen)) return;
    const card = [...this.node.querySelectorAll("input[name=model]")].find((input) => input.value === model.id);
    const mine = generation.data.map((item) => ({ ...item, model: model.id }));
    card.parentElement.querySelector(".face").replaceWith(face(model, mine));
  }

  failed(error) {
    const calm = isAbort(error);
    this.say(calm ? t("make.cancelled") : "");
    if (calm) this.stage.classList.add("stopped");
    else fill(this.stage, trouble(h("h2", {}, t("make.failed")), h("p", {}, error.message)));
  }

  /** Put an earlier generation on the stage. */
  show(work) {
    this.paper(work, work.generation.data.length).finish(work.generation);
    this.confess(work.generation);
    fill(this.status);
    this.recall(work);
  }

  /** The same, with its settings. */
  async restore(work) {
    this.stop();
    this.show(work);
    const { original } = work;
    await this.pick(work.model, { label: null, ...work.body, original, seed: work.generation.seed, locked: true });
  }

  open({ model, body, original, generation }, at) {
    const items = generation.data.map((item) => ({
      ...item,
      model: model.id,
      prompt: body.prompt,
      negative_prompt: body.negative_prompt,
      created: generation.created,
      options: body.options,
      ...(body.source && { original, ...aboutSource(body) }),
    }));
    openDetail(items, at, {
      modelOf: () => model,
      local: this.session.local,
      vary: (item) => this.around(model, item),
      reuse: (item) => this.reuse(model, item),
    });
  }

  /** Set what made an output. @returns {Promise<boolean>} Whether that is all there. */
  async reuse(model, item, seed = item.seed, n = 1) {
    const { original } = item;
    await this.pick(model, { label: null, ...bodyOf(item, model), n, original, seed, locked: true });
    const whole = Boolean(original) || !madeFrom(item);
    if (!whole) toast(t("original.again"));
    return whole;
  }

  /** Make an output again, with its neighbours. */
  async around(model, item) {
    const whole = await this.reuse(model, item, Math.max(0, item.seed - AROUND), 2 * AROUND + 1);
    if (whole) await this.run({ mark: item.seed });
  }
}

/** What an output remembers of the picture that it was made from. */
function aboutSource({ source, mask, strength, keep }) {
  return { source, masked: Boolean(mask), strength, keep };
}

function ready() {
  const threads = h(
    "span.weave",
    { "aria-hidden": "true" },
    Array.from({ length: 16 }, () => h("i")),
  );
  return h("div.nothing", {}, threads, h("h2", {}, t("make.ready")), h("p", {}, t("make.ready.hint")));
}
