// One generation: asked for, watched as it comes, cancelled when somebody says so.

import { ApiError, contentOf, events, get, post, request } from "./api.js";
import { isSeen } from "./models.js";
import { t } from "./words.js";

const PREVIEWS = 12;

/**
 * Ask for a generation and hear of it on the way.
 * @param {object} model Of /v1/models. @param {object} body Of POST /v1/generations.
 * @param {{preview: (step: number, shown: Array) => void, text: (index: number, piece: string) => void}} hear
 * @returns {Promise<object>} The generation, with the values of points beside their records; `ignored` is what of the
 *   request was not read, in the server's words.
 */
export async function generate(model, body, hear, signal) {
  const previews = model.kind === "text" ? 0 : PREVIEWS;
  const answer = await request("POST", "/v1/generations", { ...body, stream: true, previews }, { signal });
  const ignored = answer.headers.get("x-genloom-ignored");
  for await (const { event, data } of events(answer)) {
    if (event === "generation.preview")
      hear.preview(
        data.step,
        data.data.map(({ index, b64_json }) => ({ index, ...guess(model, b64_json) })),
      );
    else if (event === "generation.text") hear.text(data.index, String(data.text));
    else if (event === "error") throw new ApiError(0, String(data.error.message));
    else if (event === "generation.completed")
      return { ...data, ignored, data: await withValues(model, data.data, signal) };
  }
  throw new ApiError(0, t("make.cut"));
}

/** The outputs of a generation that nobody watches, with the values of points. */
export async function outputs(model, body, signal) {
  const { data } = await post("/v1/generations", { model: model.id, ...body }, { signal });
  return withValues(model, data, signal);
}

/** A guess on the way: the address of a picture, or the values of a point. */
function guess(model, b64) {
  if (model.kind === "points") return { values: valuesOf(JSON.parse(atob(b64))) };
  return { src: `data:image/png;base64,${b64}` };
}

const valuesOf = (told) => told.values.map(Number);

/** Outputs, with the values of points beside their records: each one's bytes are the JSON of a point. */
export async function withValues(model, items, signal) {
  if (model.kind !== "points") return items;
  const told = async (item) => (isSeen(item) ? { ...item, values: await pointOf(item.id, signal) } : item);
  return Promise.all(items.map(told));
}

/** The values of one point; null where its file is no JSON. */
export async function pointOf(id, signal) {
  try {
    return valuesOf(await get(contentOf(id), { signal }));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return null;
    throw error;
  }
}
