try {
  const theme = JSON.parse(localStorage.getItem("darkroom.theme"));
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden: the system's theme then holds.
}
