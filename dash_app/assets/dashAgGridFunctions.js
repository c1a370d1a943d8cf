// How tables are fitted, sorted and filtered. The grid finds these functions by name.
(function (functions) {
  "use strict";
  window.modelwatch = window.modelwatch || {};
  const SEVERITY = { critical: 0, degraded: 1, healthy: 2, no_data: 3 };
  const wanted = { text: "", onlyUnhealthy: false };

  functions.bySeverity = (a, b) => SEVERITY[a] - SEVERITY[b];
  functions.isFiltered = () => Boolean(wanted.text) || wanted.onlyUnhealthy;
  functions.passesFilter = (params) => {
    const row = params.data;
    // A silent service may be a dead one, so it stays in sight.
    const isWell = row.status === "healthy";
    const text = (row.service + " " + row.name + " " + row.note).toLowerCase();
    return !(wanted.onlyUnhealthy && isWell) && text.includes(wanted.text);
  };

  // Narrow screens show less, and the numbers that are left closer together.
  const PHONE = window.matchMedia("(max-width: 720px)");
  const TABLET = window.matchMedia("(max-width: 980px)");
  const LAPTOP = window.matchMedia("(max-width: 1240px)");
  const PHONE_WIDTHS = { status: 102, p95: 74, errors: 72, time: 66 };
  const PHONE_ROW_PX = 46; // room for a name on two lines, and for a finger
  const BESIDE_OTHERS = ["(max-width: 1420px)", "(max-width: 1520px)"].map((width) => window.matchMedia(width));
  function fit(id, grid) {
    if (grid.isDestroyed()) return;
    const columns = grid.getColumns() || [];
    const table = document.getElementById(id);
    const tableWidth = (table && table.clientWidth) || Infinity; // a page that was left has no width
    const isHidden = (column) => {
      const { hiddenBelow, hiddenInTableBelow } = column.getColDef().context || {};
      return hiddenBelow >= window.innerWidth || hiddenInTableBelow > tableWidth;
    };
    const numbers = columns.filter((column) => column.getColId() in PHONE_WIDTHS && column.getColDef().width);
    grid.setColumnWidths(
      numbers.map((column) => ({
        key: column.getColId(),
        newWidth: PHONE.matches ? PHONE_WIDTHS[column.getColId()] : column.getColDef().width,
      }))
    );
    // After the widths: what is left is shared out again when columns come or go.
    grid.setColumnsVisible(columns.filter(isHidden), false);
    grid.setColumnsVisible(columns.filter((column) => !isHidden(column)), true);
    grid.setGridOption("rowHeight", PHONE.matches ? PHONE_ROW_PX : undefined);
  }
  const fitted = new Map(); // the id of each
  // Called with every update that has rows: the table may have been made anew, and its own events come too early.
  window.modelwatch.fitTable = async function (id) {
    const grid = await window.dash_ag_grid.getApiAsync(id);
    if (fitted.has(grid)) return;
    fitted.forEach((_id, known) => known.isDestroyed() && fitted.delete(known));
    fitted.set(grid, id);
    fit(id, grid);
    window.modelwatch.keepOrder(id, grid);
  };
  [...BESIDE_OTHERS, LAPTOP, TABLET, PHONE].forEach((width) => width.addEventListener("change", () => fitted.forEach(fit)));

  // The filters are fields of the address; the grid may not be there yet.
  window.addEventListener("modelwatch-address", () => {
    const { page, fields } = window.modelwatch.address.current;
    if (page.name !== "overview") return;
    wanted.text = fields.q.trim().toLowerCase();
    wanted.onlyUnhealthy = fields.show === "unhealthy";
    window.dash_ag_grid.getApiAsync("services").then((grid) => grid.onFilterChanged());
  });
})((window.dashAgGridFunctions = window.dashAgGridFunctions || {}));
