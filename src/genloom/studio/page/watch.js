// One training as it goes on: how far, its curves, its samples, its alarms; to stop and to resume.

import { get, isAbort, post, remove, url } from "./api.js";
import { charts } from "./chart.js";
import { button, fill, h, icon, toast } from "./dom.js";
import { Film, pictureFrame } from "./film.js";
import { ended, jobAt, looking, reasonOf } from "./follow.js";
import { forgetModels } from "./models.js";
import { badge, complain, fetched, link } from "./pieces.js";
import { duration, joined, known, moment, number, t } from "./words.js";

const LOOK_MS = 2000;

/** A training on the page. */
export class Watch {
  /** @param {object} job @param {(job: object) => void} resumed Gets the job that goes on. */
  constructor(job, resumed, signal) {
    Object.assign(this, { job, resumed, signal });
    this.path = jobAt(job.id);
    this.head = h("div.head");
    this.meter = h("progress", { max: 1, value: job.progress, "aria-label": t("job.progress", { name: this.name }) });
    this.said = h("p.soft");
    this.alarms = h("div.alarms", { role: "status" });
    this.curves = h("div.curves");
    this.film = new Film({ name: t("watch.samples") });
    this.foot = h("div.foot");
    const summary = h("summary", {}, t("watch.look"));
    this.body = h("details.watching", { open: !ended(job) }, summary, this.curves, this.film.node);
    this.node = h("li.job", {}, this.head, this.meter, this.said, this.alarms, this.body, this.foot);
    this.shownSteps = "";
    this.body.addEventListener("toggle", () => this.look());
    this.draw();
    if (!ended(job)) this.follow();
  }

  get name() {
    return String(this.job.body?.name ?? this.job.id);
  }

  async follow() {
    try {
      for await (const job of looking(this.job.id, this.signal, LOOK_MS)) {
        this.job = job;
        this.draw();
      }
      if (this.job.state === "succeeded") forgetModels();
      await this.look();
    } catch (error) {
      complain(error);
    }
  }

  draw() {
    const { job } = this;
    const over = ended(job);
    fill(this.head, h("strong", { dir: "auto" }, this.name), badge(job));
    this.meter.hidden = over;
    this.meter.value = job.state === "running" ? job.progress : 0;
    if (over || job.state === "queued") this.say();
    const failure = reasonOf(job);
    if (failure) fill(this.alarms, h("p.failure", { dir: "auto" }, failure));
    fill(this.foot, this.actions(over));
    if (job.started && (job.state === "cancelled" || job.state === "failed")) this.offer();
    clearTimeout(this.timer);
    if (!over) this.timer = setTimeout(() => this.look(), this.shownSteps ? LOOK_MS : 300);
  }

  say(curves) {
    const { job } = this;
    const { family, data, minutes } = job.body ?? {};
    const asked = [family && known("train", family), data, minutes && t("time.minutes", { n: number(minutes) })];
    const where =
      !ended(job) && curves?.total
        ? [
            t("make.of", { step: number(curves.step), steps: number(curves.total) }),
            Number.isFinite(curves.seconds_left) && t("watch.left", { time: duration(curves.seconds_left) }),
          ]
        : [job.state === "queued" && job.ahead > 0 ? t("job.ahead", { ahead: job.ahead }) : moment(job.created)];
    fill(this.said, joined(asked, where));
  }

  actions(over) {
    const { job } = this;
    const made = job.state === "succeeded" && job.result?.model;
    return [
      made && link(url`#/make?model=${made}`, "make", t("job.use", { name: made })),
      !over && !job.cancelling && button("close", t("make.stop"), () => this.stop(), { kind: ".quiet" }),
    ];
  }

  /** Offer to go on where the run has begun; one that failed before has nothing to go on with. */
  async offer() {
    try {
      const { total } = await get(`${this.path}/curves?points=2`, { signal: this.signal });
      if (total) this.foot.append(button("play", t("watch.resume"), () => this.resume()));
    } catch {
      // there is no run, or nobody looks any more
    }
  }

  async stop() {
    await remove(this.path).then(() => toast(t("watch.stopping")), complain);
  }

  async resume() {
    await post(`${this.path}/resume`, {}).then(this.resumed, complain);
  }

  /** Fetch curves and samples, where somebody looks; again in a while, as long as it runs. */
  async look() {
    clearTimeout(this.timer);
    if (!this.body.open || this.signal.aborted || !this.job.started) return;
    try {
      const quiet = { signal: this.signal };
      const [curves, samples] = await Promise.all([
        get(`${this.path}/curves?points=300`, quiet),
        get(`${this.path}/samples`, quiet),
      ]);
      this.plot(curves);
      this.picture(samples.data);
    } catch (error) {
      if (isAbort(error)) return;
      fill(this.curves, h("p.soft", {}, error.status === 404 ? t("watch.nothing") : error.message));
    }
    if (!ended(this.job)) this.timer = setTimeout(() => this.look(), LOOK_MS);
  }

  plot(curves) {
    const unfolded = this.curves.querySelector("details")?.open ?? false;
    const any = Object.keys(curves.series).length > 0;
    fill(this.curves, any ? charts(curves.series, unfolded) : h("p.soft", {}, t("watch.nothing")));
    this.say(curves);
    if (this.job.error) return;
    const active = (curves.alarms ?? []).filter((alarm) => alarm.active !== false);
    fill(this.alarms, active.map(alarm));
  }

  frame({ step, media_type: kind }) {
    const path = this.path + url`/samples/${step}`;
    const text = t("make.step", { step: number(step) });
    if (String(kind ?? "image").startsWith("image"))
      return pictureFrame((alt) => h("img.crisp", { src: path, alt }), text);
    const page = () => h("pre.page", { dir: "auto", tabindex: 0 }, t("loading"));
    const large = () => fetched(page(), path, { signal: this.signal });
    return { text, large, small: () => h("span.snip", {}, number(step)) };
  }

  /** New samples at the end of the film; it stays where it is while somebody looks at an earlier one. */
  picture(data) {
    const steps = data.map(({ step }) => step).join();
    if (steps === this.shownSteps) return;
    this.shownSteps = steps;
    const last = this.film.at >= this.film.frames.length - 1;
    const frames = data.map((one) => this.frame(one));
    this.film.set(frames, { last });
  }
}

/** An alarm: what it means in plain words, and what the run says of it. */
function alarm({ name, text }) {
  const key = String(name).replaceAll(" ", "_");
  const words = [h("strong", {}, known("alarm", key)), h("p", { dir: "auto" }, String(text ?? ""))];
  return h("div.alarm", {}, icon("held"), h("div", {}, words));
}
