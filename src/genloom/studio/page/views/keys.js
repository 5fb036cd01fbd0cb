// Keys: who may use the server, for what, and how much; and how the server does.

import { get, post, remove, url } from "../api.js";
import { copier, sure } from "../detail.js";
import { button, fill, h, toast } from "../dom.js";
import { field, folding, nameInput, numberField, toggle } from "../fields.js";
import { health } from "../health.js";
import { complain, head, nothing, once } from "../pieces.js";
import { joined, known, moment, number, t } from "../words.js";

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
      all.every((key) => key.revoked) && h("li", {}, nothing("keys", "keys.empty")),
    );
  const refresh = async () => draw((await get("/v1/keys", { signal })).data);
  const form = newKey(async (key) => {
    fill(told, secret(key));
    if (session.local) Object.assign(session, await post("/v1/session", { key: key.secret })); // the door has just closed
    if (session.scopes.includes("admin")) await refresh();
  }, session.local);
  fill(
    root,
    head("keys", session.local && ` ${t("keys.first")}`),
    health(signal),
    h("div.halves", {}, form, h("section.list", { "aria-label": t("nav.keys") }, told, list)),
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
    copier(text, ".primary"),
  );
}

function row(key, refresh) {
  const erase = async () => {
    try {
      await remove(url`/v1/keys/${key.name}`);
      toast(t("keys.removed", { name: key.name }));
      await refresh();
    } catch (error) {
      complain(error);
    }
  };
  const limit = (name, value) => `${t(name)}: ${value ? number(value) : t("keys.unlimited")}`;
  const scopes = (key.scopes ?? []).map((scope) => h("span.badge", {}, known("scope", scope)));
  const limits = [limit("keys.minute", key.per_minute), limit("keys.day", key.per_day)];
  return h(
    "li.key",
    {},
    h("div.head", {}, h("strong", { dir: "auto" }, key.name), h("span.scopes", {}, scopes)),
    h("p.soft", {}, joined(limits, moment(key.created))),
    h("div.foot", {}, sure(t("keys.remove", { name: key.name }), t("keys.remove.sure"), erase)),
  );
}

/** @param {(key: object) => void} made @param {boolean} first Whether it will be the key of who makes it. */
function newKey(made, first) {
  const name = nameInput(64, NAME);
  const asked = (scope) => toggle({ name: t(`scope.${scope}`), start: first || scope === "generate" });
  const may = SCOPES.map((scope) => [scope, asked(scope)]);
  const minute = numberField({ name: t("keys.minute"), low: 1, whole: true, start: null });
  const day = numberField({ name: t("keys.day"), low: 1, whole: true, start: null });
  const go = button("keys", t("keys.add"), () => make(), { kind: ".primary" });
  const switches = may.map(([, one]) => one.node);
  const scopes = h("fieldset.field", {}, h("legend.name", {}, t("keys.scopes")), switches);
  const named = field(t("train.name"), t("keys.name.hint"), name);
  const form = folding(t("keys.new"), [named, scopes, minute.node, day.node], go);

  async function make() {
    const given = may.filter(([, one]) => one.value()).map(([scope]) => scope);
    if (!given.length) toast(t("keys.needs"), { bad: true });
    if (!given.length || !name.reportValidity()) return;
    await once(go, async () => {
      const limits = { per_minute: minute.value(), per_day: day.value() };
      await made(await post("/v1/keys", { name: name.value, scopes: given, ...limits }));
      name.value = "";
      form.done();
    });
  }
  return form.node;
}
