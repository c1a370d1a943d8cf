// Knows whether a mouse button or a finger is down: what is drawn in between may take away what was pressed, so that a
// click would be of nothing. Updates wait until it is up again, or for a moment.
(function () {
  "use strict";
  const modelwatch = (window.modelwatch = window.modelwatch || {});
  const LONGEST_MS = 1500;

  let isDown = false;
  let waiting = [];

  function release() {
    isDown = false;
    const resolves = waiting;
    waiting = [];
    // The click comes after the release.
    setTimeout(() => resolves.forEach((resolve) => resolve()));
  }

  window.addEventListener("pointerdown", () => (isDown = true), true);
  ["pointerup", "pointercancel", "blur"].forEach((name) => window.addEventListener(name, release, true));

  // Resolves when nothing is pressed.
  modelwatch.untilReleased = function () {
    if (!isDown) return Promise.resolve();
    return new Promise((resolve) => {
      waiting.push(resolve);
      setTimeout(resolve, LONGEST_MS);
    });
  };
})();
