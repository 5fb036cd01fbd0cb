// What the page says, in the language that was chosen; numbers and dates follow it.

import { remembered, remember } from "./prefs.js";
import en from "./words/en.js";
import zh from "./words/zh.js";

const TABLES = { en, zh };
const chosen = remembered("language");
let language = chosen in TABLES ? chosen : navigator.language.startsWith("zh") ? "zh" : "en";
document.documentElement.lang = language === "zh" ? "zh-CN" : "en";

export const current = () => language;

/** Speak this language from now on; what is already on the page stays as it is. */
export function speak(next) {
  language = next;
  document.documentElement.lang = next === "zh" ? "zh-CN" : "en";
  remember("language", next);
}

/** The words of a key, with {names} filled in. */
export function t(key, values = {}) {
  const found = TABLES[language][key];
  const text = typeof found === "function" ? found(values) : found;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** The words of a key that may be missing, such as the name of an option; else the fallback. */
export function known(key, fallback) {
  return Object.hasOwn(TABLES[language], key) ? t(key) : fallback;
}

/** A number as people read it. */
export function number(value, digits = 4) {
  return new Intl.NumberFormat(language, { maximumSignificantDigits: digits, useGrouping: value >= 1e4 }).format(value);
}

/** Seconds since 1970 as a short local time. */
export function moment(seconds) {
  if (!Number.isFinite(seconds)) return "";
  const date = new Date(seconds * 1000);
  const today = date.toDateString() === new Date().toDateString();
  const style = today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(language, style).format(date);
}

/** A length of time in seconds, in words. */
export function duration(seconds) {
  if (seconds < 60) return t("time.seconds", { n: number(seconds, 2) });
  if (seconds < 3600) return t("time.minutes", { n: number(seconds / 60, 2) });
  return t("time.hours", { n: number(seconds / 3600, 2) });
}
