// Saves what a chart or a table shows as comma-separated values (RFC 4180): numbers as they came, in the
// units of the API, times in UTC.
(function () {
  "use strict";
  const modelwatch = (window.modelwatch = window.modelwatch || {});

  // A spreadsheet would run a text that begins like a formula, and a name may begin with anything.
  function cell(value) {
    if (value === null || value === undefined) return "";
    if (typeof value === "number") return String(value);
    const text = String(value);
    const safe = /^[=+\-@\t\r]/.test(text) ? "'" + text : text;
    return /[",\r\n]/.test(safe) ? '"' + safe.replace(/"/g, '""') + '"' : safe;
  }
  const lines = (rows) => rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
  const time = (milliseconds) => new Date(milliseconds).toISOString();

  // Traces may have different times; a heatmap has one column for each of its rows.
  function ofChart(figure) {
    const heat = figure.data.find((trace) => trace.type === "heatmap");
    if (heat) {
      const bounds = heat.z.map((_, row) => heat.y[row] + " to " + heat.y[row + 1] + " s");
      const rows = heat.x.slice(0, -1).map((x, step) => [time(x), ...heat.z.map((row) => row[step] || 0)]);
      return lines([["time", ...bounds], ...rows]);
    }
    const columns = figure.data.map((trace) => new Map(trace.x.map((x, index) => [x, inUnit(trace, trace.y[index])])));
    const times = [...new Set(figure.data.flatMap((trace) => trace.x))].sort((a, b) => a - b);
    const names = figure.data.map((trace) => modelwatch.unescaped(trace.name) + " (" + trace.measured.unit + ")");
    return lines([["time", ...names], ...times.map((x) => [time(x), ...columns.map((column) => column.get(x))])]);
  }

  // Charts are drawn in what reads well, such as GiB. The digits beyond these are those of multiplying.
  const inUnit = ({ measured }, value) =>
    value === null || value === undefined || measured.size === 1 ? value : Number((value * measured.size).toPrecision(12));

  modelwatch.unescaped = (name) => name.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

  function ofTable(grid) {
    const fields = Object.keys((grid.getDisplayedRowAtIndex(0) || { data: {} }).data);
    const kept = fields.filter((field) => !/_(text|tone)$/.test(field) && !["rank", "is_blank", "path"].includes(field));
    const rows = [];
    grid.forEachNodeAfterFilterAndSort((node) => rows.push(node.data));
    const isPlain = (field) => rows.every((row) => row[field] === null || typeof row[field] !== "object");
    const columns = kept.filter(isPlain);
    return lines([columns, ...rows.map((row) => columns.map((field) => row[field]))]);
  }

  // Of a part of the page: each row carries its values.
  function ofPart(part, columns) {
    const rows = [...part.querySelectorAll("[data-csv]")].map((row) => JSON.parse(row.dataset.csv));
    const isTime = columns.map((column) => ["time", "starts", "ends"].includes(column));
    return lines([columns, ...rows.map((row) => row.map((value, index) => (isTime[index] && value !== null ? time(value) : plain(value))))]);
  }
  const plain = (value) => (value !== null && typeof value === "object" ? JSON.stringify(value) : value);

  function save(name, text) {
    const link = document.createElement("a");
    // Excel takes a file for UTF-8 only if it begins with the mark.
    link.href = URL.createObjectURL(new Blob(["\ufeff" + text], { type: "text/csv;charset=utf-8" }));
    link.download = "modelwatch-" + name + "-" + time(Date.now()).slice(0, 19).replace(/:/g, "") + ".csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  modelwatch.saveCsv = function (id, columns) {
    if (columns && columns.length) return save(id, ofPart(document.getElementById(id), columns));
    const figure = modelwatch.charts.figures()[id];
    if (figure) save(id, ofChart(figure));
    else window.dash_ag_grid.getApiAsync(id).then((grid) => save(id, ofTable(grid)));
  };
})();
