// What is said of a change that went well is in the way after a while; what went wrong stays until it is read.
(function () {
  "use strict";
  const clientside = (window.dash_clientside = window.dash_clientside || {});
  const SHOWN_MS = 8000;
  let timer = null;

  clientside.modelwatch = Object.assign(clientside.modelwatch || {}, {
    forgetOutcome: function (words, className) {
      clearTimeout(timer);
      if (words && className.includes("is-good")) {
        timer = setTimeout(() => {
          if (document.getElementById("settings-outcome")) clientside.set_props("settings-outcome", { children: "" });
        }, SHOWN_MS);
      }
    },
  });
})();
