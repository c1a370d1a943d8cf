// Sets the colour scheme before the page is first painted, so that it does not flash: the one that the reader chose
// here, else the system's. Loaded in the head; Mantine keeps the choice under this key and takes over later.
(function () {
  let chosen = null;
  try {
    chosen = localStorage.getItem("mantine-color-scheme-value");
  } catch (error) {
    // Storage may be forbidden; then nothing was ever chosen.
  }
  const system = window.matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
  const scheme = chosen === "light" || chosen === "dark" ? chosen : system;
  document.documentElement.setAttribute("data-mantine-color-scheme", scheme);
})();
