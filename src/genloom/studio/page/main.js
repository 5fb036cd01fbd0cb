// The studio: who is here, which view is shown, and the frame around it.

import { ApiError, get, isAbort, remove, whenSignedOut } from "./api.js";
import { button, fill, h, icon } from "./dom.js";
import { forgetModels } from "./models.js";
import { trouble } from "./pieces.js";
import { isDark, toggleTheme } from "./prefs.js";
import { check } from "./views/check.js";
import { explore } from "./views/explore.js";
import { gallery } from "./views/gallery.js";
import { jobs } from "./views/jobs.js";
import { judge } from "./views/judge.js";
import { keys } from "./views/keys.js";
import { make } from "./views/make.js";
import { review } from "./views/review.js";
import { signIn } from "./views/signin.js";
import { train } from "./views/train.js";
import { current, speak, t } from "./words.js";

/**
 * A view gets its place: root (an empty element), session ({name, scopes, local}), query (of the
 * hash) and signal (aborted when the reader leaves).
 */
const VIEWS = { make, explore, train, judge, gallery, jobs, check, review, keys };
const FIRST = 4; // views that a phone shows at once; the rest is behind a button
const ADMIN = ["review", "keys"];

const app = document.getElementById("app");
let session = null;
let leaving = new AbortController();

/** The name of the view in the address, and what follows it. */
function route() {
  const [name, rest = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const open = Object.hasOwn(VIEWS, name) && (!ADMIN.includes(name) || session.scopes.includes("admin"));
  return { name: open ? name : "make", query: new URLSearchParams(rest) };
}

function themeSwitch() {
  const act = () => {
    toggleTheme();
    const next = themeSwitch();
    made.replaceWith(next);
    next.focus();
  };
  const [sign, name] = isDark() ? ["sun", "theme.light"] : ["moon", "theme.dark"];
  const made = button(sign, t(name), act, { bare: true });
  return made;
}

function languageSwitch() {
  const act = () => {
    speak(current() === "en" ? "zh" : "en");
    if (session) show();
    else start();
  };
  const name = t("language.name");
  return h("button.bare", { type: "button", title: name, "aria-label": name, on: { click: act } }, t("language"));
}

function navigation(shown) {
  const open = Object.keys(VIEWS).filter((view) => !ADMIN.includes(view) || session.scopes.includes("admin"));
  const link = (view) => ({ href: `#/${view}`, "aria-current": view === shown ? "page" : null });
  const entries = open.map((view) => h("li", {}, h("a", link(view), icon(view), h("span", {}, t(`nav.${view}`)))));
  const rest = h("ul.rest", { id: "rest" }, entries.slice(FIRST));
  const more = button("menu", t("nav.more"), () => unfold(!nav.classList.contains("open")), {
    kind: open.indexOf(shown) < FIRST ? ".others" : ".others.current",
    "aria-expanded": "false",
    "aria-controls": "rest",
  });
  const nav = h("nav", { "aria-label": t("nav") }, h("ul", {}, entries.slice(0, FIRST)), more, rest);
  const unfold = (on) => {
    nav.classList.toggle("open", on);
    more.setAttribute("aria-expanded", String(on));
  };
  nav.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !nav.classList.contains("open")) return;
    unfold(false);
    more.focus();
  });
  return nav;
}

/** The page around a view. */
function frame(main, name) {
  const skip = (event) => {
    event.preventDefault(); // the hash belongs to the views
    main.focus();
  };
  const sign = h("img", { src: "/studio/icon.svg", alt: "", width: 26, height: 26 });
  const out = session && !session.local && button("out", t("signout"), signOut, { bare: true });
  return [
    h("a.skip", { href: "#main", on: { click: skip } }, t("skip")),
    h(
      "header.top",
      {},
      h("a.brand", { href: "#/make" }, sign, h("span", {}, "genloom")),
      session && navigation(name),
      h("div.tools", {}, languageSwitch(), themeSwitch(), out),
    ),
    main,
    h("footer.notice", {}, t("notice")),
  ];
}

/** Show what the address names. */
async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const { name, query } = route();
  const main = h("main", { id: "main", tabindex: -1 });
  document.title = `${t(`nav.${name}`)} \u00b7 ${t("title")}`;
  fill(app, frame(main, name));
  fill(document.getElementById("toasts"));
  scrollTo(0, 0);
  try {
    await VIEWS[name]({ root: main, session, query, signal });
    if (!signal.aborted) main.querySelector("h1")?.focus({ preventScroll: true });
  } catch (error) {
    if (!isAbort(error) && !signal.aborted) broken(main, error, show);
  }
}

/** Say what went wrong, and offer to try again. */
function broken(main, error, again) {
  const words = error instanceof ApiError ? error.message : String(error);
  fill(main, trouble(h("p", {}, words), button("reset", t("retry"), again)));
}

function askForKey() {
  session = null;
  leaving.abort();
  forgetModels();
  const main = h("main", { id: "main", tabindex: -1 });
  fill(app, frame(main, null));
  signIn(main, start);
}

async function signOut() {
  await remove("/v1/session").catch(() => {});
  location.reload(); // nothing of what the key could see stays in the page
}

/** Learn who is here, then show a view. */
async function start() {
  try {
    session = await get("/v1/session", { quiet: true });
  } catch (error) {
    if (error.status === 401) return askForKey();
    const main = h("main", { id: "main" });
    fill(app, frame(main, null));
    return broken(main, error, start);
  }
  return show();
}

whenSignedOut(askForKey);
addEventListener("hashchange", () => (session ? show() : start()));
start();
