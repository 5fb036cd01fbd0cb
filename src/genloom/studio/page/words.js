// What the page says, in the language that was chosen; numbers and dates follow it.

import { remembered, remember } from "./prefs.js";
import en from "./words/en.js";
import zh from "./words/zh.js";

/** Groups of words as one table: "group.name" -> words; those of the whole page have no group. */
const flat = (groups) => {
  const key = (group, name) => (group ? `${group}.${name}` : name);
  const named = ([group, words]) => Object.entries(words).map(([name, text]) => [key(group, name), text]);
  return Object.fromEntries(Object.entries(groups).flatMap(named));
};

const TABLES = { en: flat(en), zh: flat(zh) };
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

/** The words for a name of the server's, such as that of an option; else the fallback. */
export function known(group, name, fallback = String(name).replaceAll("_", " ")) {
  const key = `${group}.${name}`;
  return Object.hasOwn(TABLES[language], key) ? t(key) : fallback;
}

/** All there is to say, in one line. */
export const joined = (...parts) => parts.flat().filter(Boolean).join(" \u00b7 ");

/** Whether there is a value. */
export const given = (value) => value !== null && value !== undefined;

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
