// On narrow screens the navigation is a menu: a button opens it; a link in it, Escape and a click elsewhere close it.
(function () {
  "use strict";
  const button = () => document.getElementById("menu");
  const isOpen = () => button() !== null && button().getAttribute("aria-expanded") === "true";
  const set = (value) => button().setAttribute("aria-expanded", String(value));

  document.addEventListener("click", ({ target }) => {
    if (target.closest("#menu")) set(!isOpen());
    else if (isOpen()) set(false);
  });
  document.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape" || !isOpen()) return;
    set(false);
    button().focus();
  });
})();
