// Runs before the first paint, so that a chosen dark page never flashes white.
try {
  const theme = localStorage.getItem("genloom.theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // storage is switched off: the system's choice holds
}
