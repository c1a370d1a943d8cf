// Gives the charts what only the browser knows: the reader's time zone, and whether there is a mouse.
(function () {
  "use strict";
  const modelwatch = (window.modelwatch = window.modelwatch || {});

  // Plotly shows numbers as local time and strings as they are. Where the clocks change within the range local time
  // has an hour twice or not at all, so there UTC is shown, and named.
  const isSteady = (times) =>
    times.length === 0 ||
    new Date(times[0]).getTimezoneOffset() === new Date(times[times.length - 1]).getTimezoneOffset();
  const utc = (time) => new Date(time).toISOString().slice(0, 19).replace("T", " ");

  let latest = null;
  let open = null; // the page whose figures those are
  const left = new Map(); // page: what was drawn there latest
  let isShownLocal = true;
  let wasUtc = false;

  const isOverTime = (figure) => figure.layout.xaxis.type === "date";

  function fitted(figure, isLocal) {
    if (!isOverTime(figure)) return figure;
    const data = isLocal ? figure.data : figure.data.map((trace) => ({ ...trace, x: trace.x.map(utc) }));
    // On a touch screen dragging scrolls the page.
    const dragmode = window.matchMedia("(pointer: coarse)").matches ? false : figure.layout.dragmode;
    const layout = { ...figure.layout, dragmode: dragmode };
    if (!isLocal) {
      layout.xaxis = { ...layout.xaxis, range: layout.xaxis.range.map(utc) };
      layout.shapes = (layout.shapes || []).map((shape) => ({ ...shape, x0: utc(shape.x0), x1: utc(shape.x1) }));
      layout.annotations = (layout.annotations || []).map((note) => ({ ...note, x: utc(note.x) }));
    }
    return { data: data, layout: layout };
  }

  modelwatch.charts = {
    draw: function (changed, isWhole) {
      if (Object.keys(changed).length === 0 && !isWhole) return;
      latest = isWhole ? changed : { ...latest, ...changed };
      left.set(open, latest);
      const first = Object.values(latest).find(isOverTime);
      const isLocal = !modelwatch.address.isUtc() && (!first || isSteady(first.layout.xaxis.range));
      const figures = isLocal === isShownLocal ? changed : latest;
      Object.entries(figures).forEach(([id, figure]) => modelwatch.drawing.show(id, fitted(figure, isLocal)));
      const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";
      const reason = modelwatch.address.isUtc() ? "" : ", since the clocks change within this range";
      modelwatch.tellShell("time-zone", { children: "Times in " + (isLocal ? zone : "UTC" + reason) });
      isShownLocal = isLocal;
      wasUtc = modelwatch.address.isUtc();
    },

    // Another page is open: one that is still drawn has its figures.
    turn: function (page) {
      open = page;
      latest = (modelwatch.isKept(page) && left.get(page)) || null;
    },

    figures: () => latest || {},

    // A figure that came by itself, in the zone that the others are in.
    fit: (figure) => fitted(figure, !modelwatch.address.isUtc() && isSteady(figure.layout.xaxis.range)),

    // How wide the charts are, in pixels: how many steps there is room for.
    width: function () {
      const chart = document.querySelector(".place:not([data-left]) .chart");
      return chart ? Math.round(chart.clientWidth) : 0;
    },
  };

  // Another address may be in another zone. That of another page is told before that page is turned to.
  window.addEventListener("modelwatch-address", () => {
    if (latest && open === modelwatch.address.current.page.name && modelwatch.address.isUtc() !== wasUtc) modelwatch.charts.draw(latest, true);
  });

  // What is dragged over becomes the range of the whole page, in finer steps; a double click leads back to now.
  function follow(event) {
    if (event["xaxis.range[0]"] !== undefined) {
      const [from, to] = [moment(event["xaxis.range[0]"]), moment(event["xaxis.range[1]"])];
      modelwatch.address.chooseTime(from, Math.min(to, Date.now()));
    } else if (event["xaxis.autorange"] && modelwatch.address.chosenTime()) {
      modelwatch.address.chooseTime();
    }
  }

  const moment = (text) =>
    typeof text === "number" ? text : new Date(String(text).replace(" ", "T") + (isShownLocal ? "" : "Z")).getTime();

  // The time and the durations of a cell of a heatmap, whose edges are known.
  function cellAt(figure, point) {
    const heat = figure.data.find((trace) => trace.type === "heatmap");
    const before = (edges, value) => edges.findLastIndex((edge) => edge <= value);
    const [column, row] = [before(heat.x, moment(point.x)), before(heat.y, point.y)];
    return { from: heat.x[column], to: heat.x[column + 1], min: heat.y[row], max: heat.y[row + 1] };
  }

  // A click on a cell leads to its requests. A double click, which begins with a click, leads back to now.
  const DOUBLE_CLICK_MS = 350;
  let leaving = null;

  modelwatch.charts.clicked = function (id, { points }) {
    clearTimeout(leaving);
    const figure = latest && latest[id];
    if (!figure || !figure.data.some((trace) => trace.type === "heatmap")) return;
    const { from, to, min, max } = cellAt(figure, points[0]);
    const { address } = modelwatch;
    const { name, service } = address.current.fields;
    const span = { min: String(min), max: String(max), sort: "duration" };
    const fields = { name: name || service, ...span, ...address.timeFields(from, to) };
    leaving = setTimeout(() => address.go(address.href("/traces", fields)), DOUBLE_CLICK_MS);
  };

  // The charts of a page are zoomed together.
  modelwatch.charts.zoomed = function (id, event) {
    clearTimeout(leaving);
    if (latest && modelwatch.address.current.page.charts.includes(id)) follow(event);
  };
})();
