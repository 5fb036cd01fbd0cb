// The HTTP API: JSON calls, server-sent events, and errors in the server's own words.

import { t } from "./words.js";

let onSignedOut = () => {};

/** What to do when the server asks for a key. */
export function whenSignedOut(act) {
  onSignedOut = act;
}

/** A refusal of the server, or a connection that failed (status 0). */
export class ApiError extends Error {
  constructor(status, message, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/**
 * Call the API.
 * @returns {Promise<Response>} An answer of 200 to 299.
 * @throws {ApiError} Anything else. @throws {DOMException} AbortError, when cancelled.
 */
export async function request(method, path, body, { signal, quiet = false } = {}) {
  const form = body instanceof FormData;
  const headers = body === undefined || form ? {} : { "Content-Type": "application/json" };
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers,
      signal,
      body: form || body === undefined ? body : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, t("error.offline"));
  }
  if (answer.ok) return answer;
  if (answer.status === 401 && !quiet) onSignedOut();
  throw await refusal(answer);
}

async function refusal(answer) {
  let message = t("error.status", { status: answer.status });
  try {
    message = String((await answer.json()).error.message);
  } catch {
    // no JSON: a proxy answered, and its page says nothing to a person
  }
  const wait = Number(answer.headers.get("Retry-After"));
  if (wait > 0) message = `${message} ${t("error.retry", { seconds: wait })}`;
  return new ApiError(answer.status, message, wait);
}

/** Call, and read the answer as JSON. */
async function call(method, path, body, options) {
  return (await request(method, path, body, options)).json();
}

export const get = (path, options) => call("GET", path, undefined, options);
export const post = (path, body, options) => call("POST", path, body, options);
export const remove = (path, options) => call("DELETE", path, undefined, options);

/** What lies there, as text. */
export const read = async (path, options) => (await request("GET", path, undefined, options)).text();

/** An address that holds foreign words: url`/v1/jobs/${id}`. */
export const url = (texts, ...words) => String.raw({ raw: texts }, ...words.map(encodeURIComponent));

/** Where an output's bytes are; made from its id, so that no address of the server's is followed. */
export const contentOf = (id) => url`/v1/outputs/${id}/content`;

/** What can be ended by itself, and ends with a signal. @returns {AbortController} */
export function within(signal) {
  const own = new AbortController();
  signal.addEventListener("abort", () => own.abort(), { once: true });
  return own;
}

/**
 * The events of a stream, as they come.
 * @yields {{event: string, data: any}}
 */
export async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      rest = (rest + (value ?? "")).replaceAll("\r\n", "\n");
      for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
        const found = parse(rest.slice(0, end));
        rest = rest.slice(end + 2);
        if (found?.data === "[DONE]") return;
        if (found) yield { event: found.event, data: JSON.parse(found.data) };
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** One block of lines; null for a comment that only keeps the line open. */
function parse(block) {
  let event = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  return data.length ? { event, data: data.join("\n") } : null;
}

/** Whether an error only says that somebody cancelled. */
export function isAbort(error) {
  return error?.name === "AbortError";
}
