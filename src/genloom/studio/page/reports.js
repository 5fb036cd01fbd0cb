// Judge: verdicts over models, asked for as jobs and read side by side.

import { get, post } from "./api.js";
import { button, fill, h, icon, toast } from "./dom.js";
import { ended, jobAt, looking, modelsOf, reasonOf } from "./follow.js";
import { complain, failed, nothing, once, reportLink } from "./pieces.js";
import { together, whiskers } from "./whiskers.js";
import { joined, known, moment, number, t } from "./words.js";

const PAGE = 100;

/** All verdicts of a finished job. */
function verdictsOf({ kind, result }) {
  if (!result) return [];
  return kind === "compare" ? (result.verdicts ?? []) : [result];
}

/** Ask for verdicts, and read those that are there. @param {object[]} list Models. */
export async function reports(list, session, signal) {
  const shown = h("div.reading");
  const jobs = (await get(`/v1/jobs?limit=${PAGE}`, { signal })).data.filter(({ kind }) => kind in TITLES);
  const shelf = new Shelf(jobs, shown, signal);
  const ask = session.scopes.includes("train") && asking(list, (job) => shelf.put(job, true));
  return h("div.halves", {}, h("div.fields", {}, ask, shelf.node), shown);
}

const TITLES = { evaluate: "job.evaluate", compare: "job.compare" };

/** Which models to judge. */
function asking(list, started) {
  const boxes = list.map(({ id }) => h("input", { type: "checkbox", value: id }));
  const go = button("judge", t("nav.judge"), () => start(), { kind: ".primary" });
  async function start() {
    const models = boxes.filter((box) => box.checked).map((box) => box.value);
    if (!models.length) return toast(t("judge.which"), { bad: true });
    return once(go, async () => {
      started(await post("/v1/jobs", { kind: models.length > 1 ? "compare" : "evaluate", body: { models } }));
      toast(t("judge.started"));
    });
  }
  const choices = list.map(({ id }, i) => h("label.tick", {}, boxes[i], h("span", { dir: "auto" }, id)));
  return h(
    "section.panel",
    {},
    h("h2", {}, t("judge.ask")),
    h("p.soft", {}, t("judge.ask.hint")),
    h("fieldset.field", {}, h("legend.name", {}, t("judge.models")), choices),
    h("div.launch", {}, go),
  );
}

/** The jobs of judging, and which of them are laid side by side. */
class Shelf {
  constructor(jobs, shown, signal) {
    Object.assign(this, { shown, signal });
    this.jobs = new Map(jobs.map((job) => [job.id, job]));
    const last = jobs.find(({ state }) => state === "succeeded");
    this.open = new Set(last ? [last.id] : []);
    this.list = h("ul.shelf");
    this.node = h("section", { "aria-label": t("judge.reports") }, h("h2", {}, t("judge.reports")), this.list);
    this.draw();
    for (const job of jobs) if (!ended(job)) this.follow(job);
  }

  put(job, fresh = false) {
    const known_ = this.jobs.get(job.id);
    this.jobs = new Map([...(fresh ? [[job.id, job]] : []), ...this.jobs]);
    this.jobs.set(job.id, job);
    if (job.state === "succeeded" && known_?.state !== "succeeded") this.open.add(job.id);
    this.draw();
    if (fresh) this.follow(job);
  }

  async follow(job) {
    try {
      for await (const next of looking(job.id, this.signal)) this.put(next);
    } catch (error) {
      complain(error);
    }
  }

  draw() {
    const focused = document.activeElement?.value;
    const rows = [...this.jobs.values()].map((job) => this.row(job));
    fill(this.list, rows.length ? rows : h("li.soft", {}, t("judge.noreports")));
    [...this.list.querySelectorAll("input")].find((box) => box.value === focused)?.focus();
    this.read();
  }

  row(job) {
    const done = job.state === "succeeded";
    const failure = reasonOf(job);
    const state = h("small", {}, joined(moment(job.created), !done && known("job", job.state)));
    const words = h("span", { dir: "auto" }, joined(t(TITLES[job.kind]), modelsOf(job)), state);
    if (!done)
      return h("li", {}, h("div.tick", {}, icon("jobs"), words), failure && h("p.failure", { dir: "auto" }, failure));
    const change = () => {
      if (box.checked) this.open.add(job.id);
      else this.open.delete(job.id);
      this.read();
    };
    const box = h("input", { type: "checkbox", value: job.id, checked: this.open.has(job.id), on: { change } });
    return h("li", {}, h("label.tick", {}, box, words));
  }

  /** Lay the chosen reports side by side. */
  read() {
    const jobs = [...this.open].map((id) => this.jobs.get(id)).filter(Boolean);
    const key = jobs.map(({ id }) => id).join();
    if (this.key === key) return;
    this.key = key;
    const verdicts = jobs.flatMap(verdictsOf);
    if (!verdicts.length) return fill(this.shown, nothing("judge", "judge.empty"));
    return fill(
      this.shown,
      h("ul.verdicts", {}, verdicts.map(heading)),
      h("div.measures", {}, together(verdicts).map(whiskers)),
      jobs.map((job) => this.pairs(job)),
      jobs.map(({ result }) => result.report_file && reportLink(result.report_file)),
    );
  }

  /** The nearest training items, fetched when they are asked for. */
  pairs(job) {
    const place = h("div.pairs");
    const title = h("h3", {}, joined(t("judge.pairs"), modelsOf(job)));
    const node = h("details.panel", {}, h("summary", {}, title), place);
    const open = async () => {
      if (!node.open) return;
      node.removeEventListener("toggle", open);
      try {
        const { data } = await get(`${jobAt(job.id)}/pairs`, { signal: this.signal });
        fill(place, h("p.soft", {}, t(data.length ? "judge.pairs.hint" : "judge.pairs.none")), data.map(pair));
      } catch (error) {
        failed(place, error);
      }
    };
    node.addEventListener("toggle", open);
    return node;
  }
}

/** One verdict in a few words: passed or not, and why. */
function heading({ run, name, passed, failures = [], warnings = [] }) {
  const badge = h(`span.badge.${passed ? "succeeded" : "failed"}`, {}, t(passed ? "judge.passed" : "judge.notpassed"));
  return h(
    "li.panel",
    {},
    h("div.head", {}, h("strong", { dir: "auto" }, run ?? name), badge),
    failures.map((text) => h("p.failure", { dir: "auto" }, text)),
    warnings.map((text) => h("p.soft", { dir: "auto" }, text)),
  );
}

function pair({ distance, generated_b64: made, training_b64: trained, generated, training, model }) {
  const look = (b64, item, name) =>
    b64 === undefined
      ? h("p.prose", { dir: "auto" }, Array.isArray(item) ? item.map((v) => number(v)).join(", ") : String(item ?? ""))
      : h("img.crisp", { src: `data:image/png;base64,${b64}`, alt: name });
  const side = (b64, item, name) => h("figure", {}, look(b64, item, name), h("figcaption", {}, name));
  return h(
    "div.pair-of",
    {},
    side(made, generated, t("judge.generated")),
    side(trained, training, t("judge.training")),
    h("p.soft", { dir: "auto" }, joined(model, t("judge.distance", { value: number(distance, 3) }))),
  );
}
