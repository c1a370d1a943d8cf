// The editor of rules in the browser: which rule is open, where to go when one is saved, the chart of a test.
(function () {
  "use strict";
  const modelwatch = (window.modelwatch = window.modelwatch || {});
  const clientside = (window.dash_clientside = window.dash_clientside || {});
  let tested = null;

  function drawTested() {
    if (tested) modelwatch.drawing.show("rule-chart", modelwatch.charts.fit(tested));
  }
  // What was said of something that somebody did is of no interest elsewhere.
  let isGoing = false;
  let before = null;
  function forget() {
    const { page, fields } = modelwatch.address.current;
    if (page.name === "alerts" && before !== null) {
      const isOther = before.alert !== fields.alert;
      if ((before.tab !== fields.tab || isOther) && !isGoing) clientside.set_props("alerts-outcome", { children: "" });
      // What was written about one alert must not be said of another.
      if (isOther) ["alerts-ack-note", "alerts-quiet-why"].forEach((id) => clientside.set_props(id, { value: "" }));
    }
    before = page.name === "alerts" ? { tab: fields.tab, alert: fields.alert } : null;
  }
  window.addEventListener("modelwatch-address", () => {
    drawTested();
    forget();
  });

  clientside.modelwatch = Object.assign(clientside.modelwatch || {}, {
    // Answers repeat which rule is wanted; the form is filled when that changes, and left alone otherwise.
    openRule: function (wanted, opened) {
      const is = opened ? opened.rule : "";
      if ((wanted || "") === is) return clientside.no_update;
      tested = null;
      return { rule: wanted || "" };
    },

    goTo: function (where) {
      if (!where) return;
      isGoing = true;
      modelwatch.address.go(modelwatch.address.href(where.to, where.fields));
      isGoing = false;
    },

    drawTest: function (figure) {
      tested = figure;
      drawTested();
    },
  });
})();
