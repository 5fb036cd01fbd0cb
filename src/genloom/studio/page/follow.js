// A job, followed until it ends.

import { events, get, post, remove, request, url } from "./api.js";

const ENDED = ["succeeded", "failed", "cancelled"];
const REST_MS = 3000; // before a stream that was cut is asked for again

export const ended = ({ state }) => ENDED.includes(state);

/** Where a job is. */
export const jobAt = (id) => url`/v1/jobs/${id}`;

/** The job whenever it changes, until it ends; a stream that is cut before is taken up again. */
export async function* following(id, signal) {
  for (;;) {
    const answer = await request("GET", `${jobAt(id)}/events`, undefined, { signal });
    for await (const { event, data } of events(answer)) {
      if (event !== "job") continue;
      yield data;
      if (ended(data)) return;
    }
    await new Promise((go) => setTimeout(go, REST_MS));
  }
}

/** The job every few seconds, until it ends: for many at once, since a browser keeps few streams to a server. */
export async function* looking(id, signal, rest = REST_MS) {
  for (;;) {
    await new Promise((go) => setTimeout(go, rest));
    const job = await get(jobAt(id), { signal });
    yield job;
    if (ended(job)) return;
  }
}

/**
 * Start a short job and wait for its end; cancelled on the server too where the reader leaves.
 * @returns {Promise<object>} The job at its end.
 */
export async function finished(kind, body, signal, hear = () => {}) {
  let job = await post("/v1/jobs", { kind, body }, { signal });
  hear(job);
  try {
    for await (const next of following(job.id, signal)) {
      job = next;
      hear(job);
    }
  } finally {
    if (!ended(job)) remove(jobAt(job.id)).catch(() => {}); // it has ended meanwhile, or goes on unread
  }
  return job;
}

/** Why a job failed, in the server's words. */
export const reasonOf = ({ error }) => String((typeof error === "string" ? error : error?.message) ?? "");

/** The models that a job is about. */
export const modelsOf = ({ body }) => [body?.models ?? body?.model].flat().filter(Boolean).join(", ");
