// A tune that a model of music starts from: a MIDI file, or what is played on keys here.

import { post, url } from "./api.js";
import { button, fill, h } from "./dom.js";
import { dropZone } from "./fields.js";
import { Keyboard } from "./keyboard.js";
import { complain } from "./pieces.js";
import { t } from "./words.js";

/** A place to drop a MIDI file, and keys. @param {(file: File|null) => void} took */
function ways(text, hint, took) {
  const keys = new Keyboard(took);
  const taken = (file) => {
    keys.forget();
    took(file);
  };
  const zone = dropZone({ text, hint, accept: ".mid,.midi", took: taken });
  const folded = h("details", {}, h("summary", {}, t("keyboard.play")), keys.node);
  return { zone, keys, node: [zone.node, folded] };
}

/** Where a tune becomes the words that a model goes on from. @param {HTMLTextAreaElement} box Of the words. */
export function promptTune(model, box) {
  let asked = 0; // what comes late is not written over what came after it
  const took = async (file) => {
    const mine = ++asked;
    if (!file) {
      box.value = "";
      return;
    }
    const form = new FormData();
    form.append("file", file);
    const answer = await post(url`/v1/models/${model.id}/prompts`, form).catch(complain);
    if (answer && mine === asked) box.value = answer.prompt;
  };
  const { keys, node } = ways(t("make.midi"), null, took);
  box.addEventListener("input", () => keys.forget()); // what is typed counts from now on
  return h("div.field", {}, node);
}

/**
 * The field of a model that writes voices to given ones; null for others.
 * @param {object} model Of /v1/models. @param {{name: string, source: string}} start What `draft` told before.
 * @returns {{node: Element, body: () => object, draft: () => object, missing: () => null} | null}
 */
export function sourceTune(model, start) {
  if (!model.edits || model.medium !== "music") return null;
  let chosen = start ?? {};
  let asked = 0;
  const took = async (file) => {
    const mine = ++asked;
    const next = file ? { name: file.name, source: urlOf(new Uint8Array(await file.arrayBuffer())) } : {};
    if (mine !== asked) return;
    chosen = next;
    show();
  };
  const { zone, keys, node } = ways(t("tune.drop"), t("tune.hint"), took);
  const leave = () => {
    zone.node.querySelector("input").value = ""; // the same file may be chosen again
    keys.forget();
    took(null);
  };
  const remove = button("close", t("tune.remove"), leave, { kind: ".quiet" });
  const told = h("div", { role: "status" });
  function show() {
    fill(told, chosen.source && [h("p.hint", {}, t("tune.chosen", chosen)), remove]);
  }
  show();
  return {
    node: h("fieldset.field.original", {}, h("legend.name", {}, t("tune.name")), node, told),
    body: () => (chosen.source ? { source: chosen.source } : {}),
    draft: () => chosen,
    missing: () => null,
  };
}

/** Bytes of a MIDI file as a data: URL. */
const urlOf = (bytes) => `data:audio/midi;base64,${btoa(Array.from(bytes, (c) => String.fromCharCode(c)).join(""))}`;
