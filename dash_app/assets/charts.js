// Gives the charts what only the browser knows: the reader's time zone, and whether there is a mouse.
(function () {
  "use strict";
  const modelwatch = (window.modelwatch = window.modelwatch || {});
  const clientside = (window.dash_clientside = window.dash_clientside || {});

  // Plotly shows numbers as local time and strings as they are. Where the clocks change within the range local time
  // has an hour twice or not at all, so there UTC is shown, and named.
  const isSteady = (times) =>
    times.length === 0 ||
    new Date(times[0]).getTimezoneOffset() === new Date(times[times.length - 1]).getTimezoneOffset();
  const utc = (time) => new Date(time).toISOString().slice(0, 19).replace("T", " ");

  // What the reader zoomed into, in all charts of the page. Plotly's `uirevision` would keep it, but dcc.Graph 4.4 draws
  // again right after a zoom with the zoomed range as if it had been given, which ends it with the next figure.
  let zoom = null;
  let revision = null;
  let latest = null;
  function notice(event) {
    if (!event) return;
    if (event["xaxis.range[0]"] !== undefined) zoom = [event["xaxis.range[0]"], event["xaxis.range[1]"]];
    else if (event["xaxis.autorange"]) zoom = null;
  }

  const isOverTime = (figure) => figure.layout.xaxis.type === "date";

  function fitted(figure, isLocal) {
    if (!isOverTime(figure)) return figure;
    const data = isLocal ? figure.data : figure.data.map((trace) => ({ ...trace, x: trace.x.map(utc) }));
    // On a touch screen dragging scrolls the page.
    const dragmode = window.matchMedia("(pointer: coarse)").matches ? false : figure.layout.dragmode;
    const whole = figure.layout.xaxis.range;
    const range = zoom || (isLocal || !whole ? whole : whole.map(utc));
    return { data: data, layout: { ...figure.layout, dragmode: dragmode, xaxis: { ...figure.layout.xaxis, range: range } } };
  }

  modelwatch.charts = {
    draw: function (figures) {
      latest = figures;
      const first = Object.values(figures).find(isOverTime);
      if (first && first.layout.uirevision !== revision) zoom = null;
      if (first) revision = first.layout.uirevision;
      const isLocal = !first || isSteady(first.layout.xaxis.range);
      Object.entries(figures).forEach(([id, figure]) => clientside.set_props(id, { figure: fitted(figure, isLocal) }));
      const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";
      const text = "Times in " + (isLocal ? zone : "UTC, since the clocks change within this range");
      clientside.set_props("time-zone", { children: text });
    },

    forget: function () {
      latest = zoom = revision = null;
    },
  };

  clientside.modelwatch = Object.assign(clientside.modelwatch || {}, {
    zoom: function () {
      clientside.callback_context.triggered.forEach((change) => notice(change.value));
      if (latest) modelwatch.charts.draw(latest);
    },
  });
})();
