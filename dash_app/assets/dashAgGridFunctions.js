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

  // Called by view.js when a filter control changes.
  functions.filterServices = (text, onlyUnhealthy) => {
    wanted.text = text.trim().toLowerCase();
    wanted.onlyUnhealthy = onlyUnhealthy;
    window.dash_ag_grid.getApiAsync("services").then((grid) => grid.onFilterChanged());
  };
})((window.dashAgGridFunctions = window.dashAgGridFunctions || {}));
