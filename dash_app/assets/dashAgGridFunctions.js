// How the services table is sorted and filtered. The grid finds these functions by name.
(function (functions) {
  "use strict";
  const SEVERITY = { critical: 0, degraded: 1, healthy: 2, no_data: 3 };
  const wanted = { text: "", onlyUnhealthy: false };

  functions.bySeverity = (a, b) => SEVERITY[a] - SEVERITY[b];
  functions.isFiltered = () => Boolean(wanted.text) || wanted.onlyUnhealthy;
  functions.passesFilter = (params) => {
    const row = params.data;
    // A silent service may be a dead one, so it stays in sight.
    const isWell = row.status === "healthy";
    const text = (row.service + " " + row.name + " " + row.version).toLowerCase();
    return !(wanted.onlyUnhealthy && isWell) && text.includes(wanted.text);
  };

  // Narrow screens show less: a tablet without two of the percentiles, a phone what raises alarms.
  const tablet = window.matchMedia("(max-width: 980px)");
  const phone = window.matchMedia("(max-width: 720px)");
  const TABLET_HIDES = ["p50", "p99"];
  const PHONE_HIDES = ["rate", "traffic", "latency", "failures"];
  const PHONE_WIDTHS = { status: 102, p95: 74, errors: 72 };
  function fit(grid) {
    grid.setColumnsVisible(TABLET_HIDES, !tablet.matches);
    grid.setColumnsVisible(PHONE_HIDES, !phone.matches);
    const widths = Object.entries(PHONE_WIDTHS).map(([key, width]) => ({
      key: key,
      newWidth: phone.matches ? width : grid.getColumn(key).getColDef().width,
    }));
    grid.setColumnWidths(widths);
  }
  const withGrid = (use) => window.dash_ag_grid.getApiAsync("services").then(use);
  [tablet, phone].forEach((width) => width.addEventListener("change", () => withGrid(fit)));

  // The filters are fields of the address; the grid may not be there yet.
  window.addEventListener("modelwatch-address", () => {
    const { page, fields } = window.modelwatch.address.current;
    if (page.name !== "overview") return;
    wanted.text = fields.q.trim().toLowerCase();
    wanted.onlyUnhealthy = fields.show === "unhealthy";
    withGrid((grid) => {
      fit(grid);
      grid.onFilterChanged();
    });
  });
})((window.dashAgGridFunctions = window.dashAgGridFunctions || {}));
