// What this browser remembers of the reader's taste: language and colours, nothing else.

/** A remembered word, or null. */
export function remembered(name) {
  try {
    return localStorage.getItem(`genloom.${name}`);
  } catch {
    return null; // storage is switched off
  }
}

/** Remember a word, where the browser lets us. */
export function remember(name, value) {
  try {
    localStorage.setItem(`genloom.${name}`, value);
  } catch {
    // the choice holds until the page is closed
  }
}

/** Whether the page is dark now. */
export function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Tell canvases, which hold no style of their own, to draw again. */
function recolour() {
  for (const canvas of document.querySelectorAll("canvas")) canvas.dispatchEvent(new Event("recolour"));
}

/** Switch between dark and light. */
export function toggleTheme() {
  const next = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  remember("theme", next);
  recolour();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
