// Puts the skeleton of the open page into the shell, and what was answered into the skeleton.
(function () {
  "use strict";
  const modelwatch = (window.modelwatch = window.modelwatch || {});
  const clientside = (window.dash_clientside = window.dash_clientside || {});
  const LONGEST_MS = 3000;
  let shown = null;

  // A copy of a component as data, in which the components named in `values` have these properties.
  function filledIn(part, values) {
    if (Array.isArray(part)) return part.map((child) => filledIn(child, values));
    if (!part || !part.props) return part;
    const props = { ...part.props, ...(values[part.props.id] || {}) };
    if (props.children) props.children = filledIn(props.children, values);
    return { ...part, props: props };
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

  // The content is drawn some time after it was returned.
  function watch() {
    new MutationObserver(() => {
      tellDrawn();
      if (modelwatch.isShown(shown)) modelwatch.pulse.begin();
    }).observe(document.getElementById("content"), { childList: true });
  }

  // Of an answer that is not whole, what is not in it is as before.
  modelwatch.fill = function (answer) {
    modelwatch.filters.know(answer.bar || {});
    Object.entries({ ...answer.bar, ...answer.filling }).forEach(([id, properties]) => {
      clientside.set_props(id, properties);
      if ("rowData" in properties) modelwatch.fitTable(id);
    });
    if (answer.figures) modelwatch.charts.draw(answer.figures, answer.is_whole);
  };

  clientside.modelwatch = Object.assign(clientside.modelwatch || {}, {
    open: function (_address, skeletons) {
      const { page, fields } = modelwatch.address.current;
      if (shown === page.name) return clientside.no_update;
      const isFirst = shown === null;
      shown = page.name;
      if (isFirst) {
        modelwatch.address.begin();
        watch();
      }
      document.title = page.title + " · ModelWatch";
      modelwatch.charts.forget();
      clientside.set_props("menu-label", { children: page.title });
      const values = Object.fromEntries(
        page.controls.filter(({ id }) => id).map(({ id, property, field }) => [id, { [property]: fields[field] }])
      );
      return filledIn(skeletons[page.name], values);
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
