// Jobs: work that goes on by itself, followed live.

import { get, isAbort, remove, url } from "../api.js";
import { announce, button, fill, h } from "../dom.js";
import { ended, following, jobAt, modelsOf, reasonOf } from "../follow.js";
import { forgetModels } from "../models.js";
import { badge, complain, head, link, nothing, reportLink } from "../pieces.js";
import { duration, joined, known, moment, t } from "../words.js";

const FOLLOWED = 3; // live streams at once: a browser keeps six connections to a server
const PASSING = ["survey", "forecast"]; // the train view's own questions: shown here only while they last
const PAGE = 20;
const MOST_SHOWN = 4000; // characters of a result

/** Show the view. @param {object} place See main.js. */
export async function jobs({ root, signal }) {
  const board = new Board(signal);
  fill(root, head("jobs"), h("section.list", { "aria-label": t("jobs.list") }, board.list, board.foot));
  await board.more();
}

class Board {
  constructor(signal) {
    this.signal = signal;
    this.cards = new Map(); // id -> {job, node}
    this.followed = new Set(); // each once: a server that contradicts itself is not asked over and over
    this.live = 0;
    this.list = h("ul.jobs");
    this.foot = h("div.more");
  }

  async more() {
    const { last, signal } = this;
    const page = await get(`/v1/jobs?limit=${PAGE}${last ? url`&after=${last}` : ""}`, { signal });
    this.last = page.data.at(-1)?.id ?? last;
    for (const job of page.data) if (!PASSING.includes(job.kind) || !ended(job)) this.put(job, false);
    const further = page.has_more && button("down", t("more"), () => this.more().catch(complain));
    fill(this.foot, !this.cards.size && nothing("jobs", "jobs.empty"), further);
  }

  /** Show a job, new or changed. */
  put(job, first = true) {
    const old = this.cards.get(job.id);
    const node = card(job, () => this.cancel(job));
    if (old) old.node.replaceWith(node);
    else if (first) this.list.prepend(node);
    else this.list.append(node);
    this.cards.set(job.id, { job, node });
    if (!old && first) this.foot.querySelector(".nothing")?.remove();
    this.follow();
  }

  /** Follow as many unfinished jobs as may be, those that run before those that wait. */
  follow() {
    const open = [...this.cards.values()].map(({ job }) => job).filter((job) => !ended(job));
    open.sort((a, b) => (a.state === "running" ? 0 : 1) - (b.state === "running" ? 0 : 1));
    for (const job of open) {
      if (this.live >= FOLLOWED) return;
      if (!this.followed.has(job.id)) this.listen(job.id);
    }
  }

  async listen(id) {
    this.followed.add(id);
    this.live += 1;
    try {
      for await (const job of following(id, this.signal)) this.change(job);
    } catch (error) {
      if (isAbort(error)) return;
      complain(error);
    }
    this.live -= 1;
    this.follow();
  }

  change(job) {
    const held = this.cards.get(job.id)?.node.contains(document.activeElement);
    this.put(job);
    if (held) this.cards.get(job.id).node.querySelector("button, a")?.focus();
    if (!ended(job)) return;
    if (job.kind === "train" && job.state === "succeeded") forgetModels();
    announce(`${titleOf(job)}: ${t(`job.${job.state}`)}`);
  }

  async cancel(job) {
    try {
      await remove(jobAt(job.id));
      this.put(await get(jobAt(job.id)));
    } catch (error) {
      complain(error);
    }
  }
}

/** What a job is about, in a few words. */
const titleOf = (job) => joined(known("job", job.kind), job.body?.name ?? modelsOf(job));

function when({ state, created, started, finished, ahead }) {
  if (state === "queued") return ahead > 0 ? t("job.ahead", { ahead }) : moment(created);
  const end = finished ?? Date.now() / 1000;
  const length = started ? t(finished ? "job.took" : "job.since", { time: duration(Math.max(0, end - started)) }) : "";
  return joined(moment(created), length);
}

function card(job, cancel) {
  const over = ended(job);
  const title = titleOf(job);
  const report = job.result?.report_file;
  const named = job.kind === "train" && job.state === "succeeded" ? job.result?.model : null;
  const failure = reasonOf(job);
  const running = job.state === "running";
  const progress = { max: 1, value: running ? job.progress : 0, "aria-label": t("job.progress", { name: title }) };
  return h(
    "li.job",
    {},
    h("div.head", {}, h("strong", { dir: "auto" }, title), badge(job)),
    !over && h("progress", progress),
    failure && h("p.failure", { dir: "auto" }, failure),
    h(
      "div.foot",
      {},
      h("span.soft", {}, joined(when(job), running && `${Math.round(100 * job.progress)} %`)),
      named && link(url`#/make?model=${named}`, "make", t("job.use", { name: named })),
      report && reportLink(report),
      !over && !job.cancelling && button("close", t("cancel"), cancel, { kind: ".quiet" }),
    ),
    details(job, Boolean(named)),
  );
}

/** What was asked for and what came of it, for those who want to read. */
function details(job, made) {
  const part = (name, value) =>
    value &&
    Object.keys(value).length > 0 && [
      h("h3", {}, name),
      h("pre", { tabindex: 0 }, JSON.stringify(value, null, 2).slice(0, MOST_SHOWN)),
    ];
  const parts = [part(t("job.request"), job.body), !made && part(t("job.result"), job.result)].filter(Boolean);
  return (
    parts.length > 0 && h("details", {}, h("summary", {}, t(made || !job.result ? "job.request" : "job.result")), parts)
  );
}
