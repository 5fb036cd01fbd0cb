// Keys: who may use the server, for what, and how much; and how the server does.

import { get, post, remove } from "../api.js";
import { copy, sure } from "../detail.js";
import { button, fill, h, icon, toast } from "../dom.js";
import { field, folding, numberField, toggle } from "../fields.js";
import { health } from "../health.js";
import { moment, number, known, t } from "../words.js";

const SCOPES = ["generate", "train", "admin"];
const NAME = "[A-Za-z0-9][A-Za-z0-9._@\\-]{0,63}";

/** Show the view. @param {object} place See main.js. */
export async function keys({ root, session, signal }) {
  const list = h("ul.keys");
  const told = h("div", { role: "status" });
  const draw = (all) =>
    fill(
      list,
      all.filter((key) => !key.revoked).map((key) => row(key, refresh)),
      all.every((key) => key.revoked) &&
        h("li.nothing", {}, icon("keys"), h("h2", {}, t("keys.empty")), h("p", {}, t("keys.empty.hint"))),
    );
  const refresh = async () => draw((await get("/v1/keys", { signal })).data);
  const form = newKey(async (key) => {
    fill(told, secret(key));
    if (session.local) Object.assign(session, await post("/v1/session", { key: key.secret })); // the door has just closed
    if (session.scopes.includes("admin")) await refresh();
  }, session.local);
  fill(
    root,
    h("h1", { tabindex: -1 }, t("keys.title")),
    h("p.lead", {}, t("keys.lead"), session.local && ` ${t("keys.first")}`),
    health(signal),
    h("div.halves", {}, form, h("section.list", { "aria-label": t("keys.title") }, told, list)),
  );
  await refresh();
}

function secret({ name, secret: text }) {
  return h(
    "div.panel.secret",
    {},
    h("strong", { dir: "auto" }, name),
    h("p", {}, t("keys.secret")),
    h("code", { dir: "ltr" }, text),
    button("copy", t("copy"), () => copy(text), { kind: ".primary" }),
  );
}

function row(key, refresh) {
  const erase = async () => {
    try {
      await remove(`/v1/keys/${encodeURIComponent(key.name)}`);
      toast(t("keys.removed", { name: key.name }));
      await refresh();
    } catch (error) {
      toast(error.message, { bad: true });
    }
  };
  const limit = (name, value) => `${t(name)}: ${value ? number(value) : t("keys.unlimited")}`;
  return h(
    "li.key",
    {},
    h(
      "div.head",
      {},
      h("strong", { dir: "auto" }, key.name),
      h(
        "span.scopes",
        {},
        (key.scopes ?? []).map((scope) => h("span.badge", {}, known(`scope.${scope}`, scope))),
      ),
    ),
    h(
      "p.soft",
      {},
      [limit("keys.minute", key.per_minute), limit("keys.day", key.per_day), moment(key.created)]
        .filter(Boolean)
        .join(" \u00b7 "),
    ),
    h("div.foot", {}, sure(t("keys.remove", { name: key.name }), t("keys.remove.sure"), erase)),
  );
}

/** @param {(key: object) => void} made @param {boolean} first Whether it will be the key of who makes it. */
function newKey(made, first) {
  const asked = {
    type: "text",
    maxlength: 64,
    pattern: NAME,
    required: true,
    autocomplete: "off",
    spellcheck: "false",
  };
  const name = h("input", asked);
  const may = SCOPES.map((scope) => [
    scope,
    toggle({ name: t(`scope.${scope}`), start: first || scope === "generate" }),
  ]);
  const minute = numberField({ name: t("keys.minute"), low: 1, whole: true, start: null });
  const day = numberField({ name: t("keys.day"), low: 1, whole: true, start: null });
  const go = button("keys", t("keys.add"), () => make(), { kind: ".primary" });
  const switches = may.map(([, one]) => one.node);
  const scopes = h("fieldset.field", {}, h("legend.name", {}, t("keys.scopes")), switches);
  const named = field(t("keys.name"), t("keys.name.hint"), name);
  const form = folding(t("keys.new"), [named, scopes, minute.node, day.node], go);

  async function make() {
    const given = may.filter(([, one]) => one.value()).map(([scope]) => scope);
    if (!given.length) toast(t("keys.needs"), { bad: true });
    if (!given.length || !name.reportValidity()) return;
    go.disabled = true;
    try {
      const limits = { per_minute: minute.value(), per_day: day.value() };
      await made(await post("/v1/keys", { name: name.value, scopes: given, ...limits }));
      name.value = "";
      form.done();
    } catch (error) {
      toast(error.message, { bad: true });
    }
    go.disabled = false;
  }
  return form.node;
}
