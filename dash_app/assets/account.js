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
