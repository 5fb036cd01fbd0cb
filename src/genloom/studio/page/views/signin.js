// Sign in: a key for a cookie that no script can read.

import { post } from "../api.js";
import { button, fill, h, icon } from "../dom.js";
import { field } from "../fields.js";
import { t } from "../words.js";

/** Show the view. @param {Element} root @param {() => void} entered */
export function signIn(root, entered) {
  const key = h("input", { type: "password", autocomplete: "current-password", required: true, spellcheck: "false" });
  const told = h("p.failure", { role: "alert", hidden: true });
  const enter = async (event) => {
    event.preventDefault();
    told.hidden = true;
    try {
      await post("/v1/session", { key: key.value.trim() }, { quiet: true });
      entered();
    } catch (error) {
      told.hidden = false;
      fill(told, error.status === 401 ? t("signin.wrong") : error.message);
      key.select();
    }
  };
  const go = button("keys", t("signin.title"), () => {}, { kind: ".primary" });
  go.type = "submit";
  fill(
    root,
    h(
      "form.panel.signin",
      { on: { submit: enter } },
      icon("keys"),
      h("h1", { tabindex: -1 }, t("signin.title")),
      h("p.lead", {}, t("signin.lead")),
      h("div.fields", {}, field(t("signin.key"), null, key), told, go),
    ),
  );
  key.focus();
}
