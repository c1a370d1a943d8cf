// Puts the skeleton of the open page into the shell, and what was answered into the skeleton.
(function () {
  "use strict";
  const modelwatch = (window.modelwatch = window.modelwatch || {});
  const clientside = (window.dash_clientside = window.dash_clientside || {});
  const LONGEST_MS = 3000;
  let shown = null;
  const filled = new Map(); // name of a page that is drawn: what its figures answer, their receipt, and in which zone they are
  const told = new Map(); // name of such a page, or "" for the shell: what its components were told, by their ids

  const placeOf = (name) => document.getElementById("place-" + name);

  // A copy of a component as data, in which the components named in `values` have these properties.
  function filledIn(part, values) {
    if (Array.isArray(part)) return part.map((child) => filledIn(child, values));
    if (!part || !part.props) return part;
    const props = { ...part.props, ...(values[part.props.id] || {}) };
    if (props.children) props.children = filledIn(props.children, values);
    return { ...part, props: props };
  }

  function skeleton(page, fields, skeletons) {
    const values = Object.fromEntries(
      page.controls.filter(({ id }) => id).map(({ id, property, field }) => [id, { [property]: fields[field] }])
    );
    return filledIn(skeletons[page.name], values);
  }

  // Whether the page is the open one and its skeleton is drawn.
  modelwatch.isShown = (name) => shown === name && document.getElementById("page-" + name) !== null;

  let waiting = []; // for the skeleton of a page
  function tellDrawn() {
    const isOver = ({ name }) => modelwatch.isShown(name) || modelwatch.address.current.page.name !== name;
    waiting.filter(isOver).forEach(({ resolve }) => resolve());
    waiting = waiting.filter((one) => !isOver(one));
  }

  // Resolves when the skeleton of the page is drawn, when the page is not wanted any more, or after a moment.
  modelwatch.untilDrawn = function (name) {
    if (modelwatch.isShown(name)) return Promise.resolve();
    return new Promise((resolve) => {
      waiting.push({ name: name, resolve: resolve });
      setTimeout(resolve, LONGEST_MS);
    });
  };

  // A skeleton is drawn some time after it was returned.
  function watch() {
    const observer = new MutationObserver(() => {
      tellDrawn();
      if (modelwatch.isShown(shown)) modelwatch.pulse.begin();
    });
    modelwatch.facts.pages.forEach(({ name }) => observer.observe(placeOf(name), { childList: true }));
  }

  // Shows the open page: one that is drawn already is there at once.
  function turn() {
    const { page } = modelwatch.address.current;
    if (shown === page.name) return stay();
    shown = page.name;
    document.title = page.title + " · ModelWatch";
    modelwatch.charts.turn(shown);
    modelwatch.facts.pages.forEach(({ name }) => placeOf(name).toggleAttribute("data-left", name !== shown));
    modelwatch.tellShell("menu-label", { children: page.title });
    placeOf(shown).toggleAttribute("data-old", filled.has(shown));
    placeOf(shown).toggleAttribute("data-other", filled.has(shown) && !modelwatch.isKept(shown));
    if (filled.has(shown)) modelwatch.address.restore(page.controls);
    tellDrawn();
  }
  window.addEventListener("modelwatch-address", () => shown !== null && turn());

  const isAnswer = (figures) => figures.search === modelwatch.address.asked();

  // Of the page that was open already something else may be asked. Its charts are in the zone that is chosen now.
  function stay() {
    const figures = filled.get(shown);
    if (!figures) return;
    if (!isAnswer(figures)) placeOf(shown).setAttribute("data-old", "");
    if (!placeOf(shown).hasAttribute("data-other")) figures.isUtc = modelwatch.address.isUtc();
  }

  // Whether the page is drawn already, with figures of what is asked now.
  modelwatch.isKept = function (name) {
    const figures = filled.get(name);
    return figures !== undefined && isAnswer(figures) && figures.isUtc === modelwatch.address.isUtc();
  };

  // What is to be seen on the open page: its receipt, and the question that it answers.
  modelwatch.seen = () => (shown === null || placeOf(shown).hasAttribute("data-other") ? null : filled.get(shown) || null);

  // What a component shows already is not said again: each time costs Dash a look at all components that there are.
  // Those of a page that is not kept are also changed by others.
  function tell(part, id, properties) {
    const isChangedByOthers = modelwatch.facts.pages.some(({ name, isKept }) => name === part && !isKept);
    if (isChangedByOthers) return clientside.set_props(id, properties);
    if (!told.has(part)) told.set(part, new Map());
    const before = told.get(part).get(id) || {};
    const news = Object.entries(properties).filter(([name, value]) => !isSame(before[name], value));
    if (news.length === 0) return;
    told.get(part).set(id, { ...before, ...properties });
    clientside.set_props(id, Object.fromEntries(news));
  }

  function isSame(a, b) {
    if (a === b) return true;
    if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
    const names = Object.keys(a);
    return names.length === Object.keys(b).length && names.every((name) => name in b && isSame(a[name], b[name]));
  }

  modelwatch.tellShell = (id, properties) => tell("", id, properties);

  // Of an answer that is not whole, what is not in it is as before; of one without figures all is, and stays what it was.
  modelwatch.fill = function (answer, search) {
    modelwatch.filters.know(answer.bar || {});
    const { "figures-note": note, ...filling } = answer.filling || {};
    const shell = { ...answer.bar, ...(note && { "figures-note": note }) };
    Object.entries(shell).forEach(([id, properties]) => tell("", id, properties));
    Object.entries(filling).forEach(([id, properties]) => {
      tell(answer.page, id, properties);
      if ("rowData" in properties) modelwatch.fitTable(id);
    });
    if (answer.receipt.state !== "filled") return;
    modelwatch.charts.draw(answer.figures, answer.is_whole);
    const figures = { search: search, receipt: answer.receipt, isUtc: modelwatch.address.isUtc() };
    filled.set(answer.page, figures);
    placeOf(answer.page).removeAttribute("data-other");
    placeOf(answer.page).toggleAttribute("data-old", !isAnswer(figures));
  };

  clientside.modelwatch = Object.assign(clientside.modelwatch || {}, {
    // Returns what is new in the places of all pages: the skeleton of the open one if it is not drawn, and nothing in
    // those of pages that were left and are not kept.
    open: function (_address, skeletons) {
      const { pages } = modelwatch.facts;
      const { page, fields } = modelwatch.address.current;
      if (shown === null) {
        modelwatch.address.begin();
        watch();
        turn();
      }
      return pages.map(({ name, isKept }) => {
        const isDrawn = placeOf(name).firstChild !== null;
        if (name === shown) return isDrawn ? clientside.no_update : skeleton(page, fields, skeletons);
        if (!isDrawn || (isKept && filled.has(name))) return clientside.no_update;
        [filled, told].forEach((known) => known.delete(name));
        return null;
      });
    },

    copy: async function (_clicks, text) {
      try {
        await navigator.clipboard.writeText(text);
        return "Copied";
      } catch (error) {
        // Without HTTPS a browser hands out no clipboard; then the text is at least selected.
        window.getSelection().selectAllChildren(document.getElementById("variables"));
        return "Selected";
      }
    },
  });
})();
