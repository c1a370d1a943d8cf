// The order of a table is a field of the address: "-p95,name" is by P95, the largest first, then by name.
(function () {
  "use strict";
  const modelwatch = (window.modelwatch = window.modelwatch || {});
  const NONE = "none"; // where the table has an order of its own that somebody took away
  const kept = new Map(); // id of the table: the grid, and the order that it came with

  const textOf = (grid) =>
    grid
      .getColumnState()
      .filter(({ sort }) => sort)
      .sort((a, b) => (a.sortIndex || 0) - (b.sortIndex || 0))
      .map(({ colId, sort }) => (sort === "desc" ? "-" : "") + colId)
      .join(",");

  // What is no column that can be sorted by is left out.
  function stateOf(text, grid) {
    const state = text.split(",").map((part) => ({ colId: part.replace(/^-/, ""), sort: part.startsWith("-") ? "desc" : "asc" }));
    const known = grid.getColumns().filter((column) => column.getColDef().sortable);
    return state.filter(
      ({ colId }, index) =>
        known.some((column) => column.getColId() === colId) && state.findIndex((one) => one.colId === colId) === index
    );
  }

  const controlOf = (id) => modelwatch.address.current.page.controls.find(({ table }) => table === id);

  function show(id) {
    const { grid, own } = kept.get(id);
    const control = controlOf(id);
    if (grid.isDestroyed()) return kept.delete(id);
    if (!control) return; // its page is not open
    const wanted = modelwatch.address.current.fields[control.field];
    const found = wanted === null ? [] : stateOf(wanted, grid);
    const state = found.length || wanted === NONE ? found : stateOf(own, grid);
    if (textOf(grid) === state.map(({ colId, sort }) => (sort === "desc" ? "-" : "") + colId).join(",")) return;
    const numbered = state.map((one, sortIndex) => ({ ...one, sortIndex }));
    grid.applyColumnState({ state: numbered, defaultState: { sort: null, sortIndex: null } });
  }

  // Called once for each grid that is drawn.
  modelwatch.keepOrder = function (id, grid) {
    kept.set(id, { grid: grid, own: textOf(grid) });
    show(id);
    grid.addEventListener("sortChanged", ({ source }) => {
      const control = controlOf(id);
      if (source !== "uiColumnSorted" || !control) return;
      const [now, own] = [textOf(grid), kept.get(id).own];
      modelwatch.address.change({ [control.field]: now === own ? null : now || NONE });
    });
  };

  window.addEventListener("modelwatch-address", () => [...kept.keys()].forEach(show));
})();
