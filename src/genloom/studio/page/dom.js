// Elements without markup: every string becomes a text node or an attribute value, never HTML.

const SVG = "http://www.w3.org/2000/svg";
const LIVE = new Set(["value", "checked", "selected", "disabled", "indeterminate"]);

/**
 * An element.
 * @param {string} tag Name, with classes after dots: "button.primary".
 * @param {object} props Attributes; `on` holds listeners; null and false leave one out.
 * @param {...(Node|string|number|null|false|Array)} children
 */
export function h(tag, props = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else if (LIVE.has(key)) element[key] = value;
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...nodes(children));
  return element;
}

/** Children as nodes and strings, nothing left out but null, undefined and false. */
function nodes(children) {
  return children
    .flat(Infinity)
    .filter((c) => c !== null && c !== undefined && c !== false)
    .map((c) => (c instanceof Node ? c : String(c)));
}

/** Replace what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

const ICONS = {
  make: "M12 3v4M12 17v4M3 12h4M17 12h4M6 6l2.5 2.5M15.5 15.5L18 18M18 6l-2.5 2.5M8.5 15.5L6 18",
  gallery: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
  explore: "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18zM15.5 8.5l-2 5-5 2 2-5z",
  train: "M4 19V5M4 19h16M7.5 15l3.5-4 3 2.5L19 7",
  judge: "M12 4v16M8 20h8M5 7l7-2 7 2M5 7l-2.5 6h5zM19 7l-2.5 6h5z",
  walk: "M5 18a1.5 1.5 0 1 1 0 .01M19 6a1.5 1.5 0 1 1 0 .01M6.5 17C10 14 8 10 12 9s3 0 5.5-2",
  play: "M8 5.5v13l10.5-6.5z",
  pause: "M8.5 5.5v13M15.5 5.5v13",
  folder: "M4 6h6l2 2.5h8V19H4z",
  even: "M6 9.5h12M6 14.5h12",
  menu: "M5 7h14M5 12h14M5 17h14",
  jobs: "M4 6h16M4 12h10M4 18h13",
  review: "M12 3l8 3v6c0 4.5-3.4 7.6-8 9-4.6-1.4-8-4.5-8-9V6zM9 12l2 2 4-4",
  keys: "M14.5 9.5a4 4 0 1 1-3-3 4 4 0 0 1 3 3zM13.5 10.5L20 17v3h-3v-2h-2v-2",
  check: "M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13zM15.5 15.5L20 20",
  tick: "M5 12.5l4.5 4.5L19 7.5",
  dice: "M5 4h14a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1zM8 8h.8v.8h-.8zM15.2 8h.8v.8h-.8zM11.6 11.6h.8v.8h-.8zM8 15.2h.8v.8h-.8zM15.2 15.2h.8v.8h-.8z",
  locked: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  open: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 6.7-1.4",
  sun: "M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM12 3v1.5M12 19.5V21M3 12h1.5M19.5 12H21M5.6 5.6l1 1M17.4 17.4l1 1M18.4 5.6l-1 1M6.6 17.4l-1 1",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
  close: "M6 6l12 12M18 6L6 18",
  left: "M14.5 5.5L8 12l6.5 6.5",
  right: "M9.5 5.5L16 12l-6.5 6.5",
  down: "M12 4v11M7 10.5l5 5 5-5M5 20h14",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  vary: "M12 4v4M12 16v4M4 12h4M16 12h4M12 10.5a1.5 1.5 0 1 1 0 3 1.5 1.5 0 0 1 0-3z",
  brush: "M20 4c-4 2-8 5.5-10.5 9l2 2C15 12.5 18.5 8.5 20 4zM9 13.5c-2.5 0-3.5 1.5-3.5 3.5 0 1.5-.8 2.5-2 3 3.5 1 8 .5 8-4z",
  eraser: "M14 4l6 6-8.5 8.5H7.5L4 15zM9 9l6 6M11 20h9",
  undo: "M8 5L4 9l4 4M4.5 9H14a5.5 5.5 0 0 1 0 11H9",
  upload: "M12 16V5M7 9.5l5-5 5 5M5 20h14",
  out: "M10 5H5v14h5M14 8l4 4-4 4M18 12H9",
  reset: "M5 5v5h5M5.5 10A7.5 7.5 0 1 1 4.7 14",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 2.5-2.5L20 16M15.5 9h.01",
  points: "M7 16h.01M10 11h.01M13 15h.01M16 9h.01M18 14h.01M4 4v16h16",
  text: "M5 6h14M5 11h14M5 16h9",
  held: "M12 3l8 3v6c0 4.5-3.4 7.6-8 9-4.6-1.4-8-4.5-8-9V6zM12 8v5M12 16h.01",
};

/** An element of a drawing. */
export function drawn(tag, props, children = []) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(props)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** A drawn sign, hidden from screen readers: what holds it says the same in words. */
export function icon(name) {
  return drawn("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true", focusable: "false" }, [
    drawn("path", { d: ICONS[name] }),
  ]);
}

/** A button with a sign; without a visible word, its name is told to screen readers. */
export function button(sign, name, act, { kind = "", bare = false, ...props } = {}) {
  return h(
    `button${kind}${bare ? ".bare" : ""}`,
    { type: "button", "aria-label": bare ? name : null, title: bare ? name : null, on: { click: act }, ...props },
    sign && icon(sign),
    !bare && h("span", {}, name),
  );
}

/** Say something to screen readers alone. */
export function announce(text) {
  document.getElementById("live").textContent = text;
}

/** Show a short notice that goes away by itself; errors stay longer. */
export function toast(text, { bad = false } = {}) {
  const note = h(bad ? "p.toast.bad" : "p.toast", { role: bad ? "alert" : "status" }, text);
  document.getElementById("toasts").append(note);
  setTimeout(() => note.remove(), bad ? 8000 : 2600);
}

/** Call `act` once, when an element comes near the window. */
export function whenSeen(element, act) {
  const watcher = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watcher.disconnect();
      act();
    },
    { rootMargin: "300px" },
  );
  watcher.observe(element);
}
