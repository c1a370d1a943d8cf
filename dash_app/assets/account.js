// The menu of who is signed in closes like any other: by Escape, and by a click elsewhere.
(function () {
  "use strict";
  const menu = () => document.querySelector("#account[open]");
  document.addEventListener("click", ({ target }) => {
    const open = menu();
    if (open && !open.contains(target)) open.open = false;
  });
  document.addEventListener("keydown", ({ key }) => {
    const open = menu();
    if (!open || key !== "Escape") return;
    open.open = false;
    open.querySelector("summary").focus();
  });
})();

// When nobody is signed in any more, nothing can be saved: every field and button that would is disabled, as for those who
// may look only. Also those of pages that are gone to later.
(function () {
  "use strict";
  let isSignedOut = false;
  function disable() {
    if (!isSignedOut) return;
    document.querySelectorAll("fieldset.for-editors").forEach((group) => {
      group.disabled = true;
      group.title = "You are signed out.";
    });
  }
  window.addEventListener("modelwatch-signed-out", () => {
    isSignedOut = true;
    disable();
  });
  window.addEventListener("modelwatch-address", () => setTimeout(disable));
})();
