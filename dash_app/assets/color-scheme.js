// Sets the colour scheme that the reader chose before the page is first painted, so that it does not flash.
// Loaded in the head; Mantine keeps the choice under this key and takes over later.
(function () {
  try {
    const scheme = localStorage.getItem("mantine-color-scheme-value");
    if (scheme === "light" || scheme === "dark") {
      document.documentElement.setAttribute("data-mantine-color-scheme", scheme);
    }
  } catch (error) {
    // Storage may be forbidden; then the default scheme stays.
  }
})();
