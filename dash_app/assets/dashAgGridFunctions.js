// How the services table is sorted and filtered. The grid finds these functions by name.
(function (functions) {
  "use strict";
  const SEVERITY = { critical: 0, degraded: 1, healthy: 2, no_data: 3 };
  const wanted = { text: "", onlyUnhealthy: false };

  functions.bySeverity = (a, b) => SEVERITY[a] - SEVERITY[b];
  functions.isFiltered = () => Boolean(wanted.text) || wanted.onlyUnhealthy;
  functions.passesFilter = (params) => {
    const row = params.data;
    const isTroubled = row.status === "critical" || row.status === "degraded";
    const text = (row.service + " " + row.version).toLowerCase();
    return (!wanted.onlyUnhealthy || isTroubled) && text.includes(wanted.text);
  };

  // A phone has room for the name, the status and the two figures that raise alarms.
  const phone = window.matchMedia("(max-width: 720px)");
  const PHONE_HIDES = ["rate", "traffic", "p50", "p99", "latency", "failures"];
  const PHONE_WIDTHS = { status: 102, p95: 74, errors: 74 };
  function fit(grid) {
    if (phone.matches === grid.isFittedToPhone) return;
    if (phone.matches || grid.isFittedToPhone) {
      grid.setColumnsVisible(PHONE_HIDES, !phone.matches);
      grid.setColumnWidths(
        Object.entries(PHONE_WIDTHS).map(([key, width]) => ({
          key: key,
          newWidth: phone.matches ? width : grid.getColumn(key).getColDef().width,
        }))
      );
    }
    grid.isFittedToPhone = phone.matches;
  }
  const withGrid = (use) => window.dash_ag_grid.getApiAsync("services").then(use);
  phone.addEventListener("change", () => withGrid(fit));

  // Called by view.js when a filter control changes.
  functions.filterServices = (text, onlyUnhealthy) => {
    wanted.text = text.trim().toLowerCase();
    wanted.onlyUnhealthy = onlyUnhealthy;
    withGrid((grid) => {
      fit(grid);
      grid.onFilterChanged();
    });
  };
})((window.dashAgGridFunctions = window.dashAgGridFunctions || {}));
