// Gives the charts what only the browser knows: the reader's clock, and whether there is a mouse.
(function () {
  "use strict";
  const clientside = (window.dash_clientside = window.dash_clientside || {});
  const MINUTE_MS = 60000;

  // Plotly shows every time as UTC, so times are shifted to the reader's zone. Where the clocks change within the
  // range no single shift is right, and UTC is shown and named.
  function shiftMs(times) {
    if (!times.length) return { ms: 0, name: "UTC" };
    const first = new Date(times[0]).getTimezoneOffset();
    const last = new Date(times[times.length - 1]).getTimezoneOffset();
    if (first !== last) return { ms: 0, name: "UTC, as the clocks change in this range" };
    return { ms: -last * MINUTE_MS, name: Intl.DateTimeFormat().resolvedOptions().timeZone || "local time" };
  }

  function shifted(figure, shift) {
    const data = figure.data.map((trace) => Object.assign({}, trace, { x: trace.x.map((time) => time + shift.ms) }));
    // On a touch screen dragging scrolls the page.
    const dragmode = window.matchMedia("(pointer: coarse)").matches ? false : figure.layout.dragmode;
    return { data: data, layout: Object.assign({}, figure.layout, { dragmode: dragmode }) };
  }

  clientside.modelwatch = Object.assign(clientside.modelwatch || {}, {
    draw: function (figures) {
      const shift = shiftMs(figures.latency.data[0].x);
      const charts = ["throughput", "latency", "errors"].map((name) => shifted(figures[name], shift));
      return [...charts, "Times in " + shift.name];
    },
  });
})();
