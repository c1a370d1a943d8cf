// The filters in the bar: what they offer to choose from, and which of them apply to the open page.
(function () {
  "use strict";
  const modelwatch = (window.modelwatch = window.modelwatch || {});
  const filters = () => modelwatch.facts.filters;
  const known = {}; // the choices of each, as they were answered last

  function sentence(titles) {
    const words = titles.map((title, index) => (index ? title.toLowerCase() : title));
    const last = words.pop();
    return (words.length ? words.join(", ") + " and " + last : last) + (titles.length > 1 ? " do" : " does") + " not filter this page";
  }

  modelwatch.filters = {
    // Of what was answered.
    know: function (bar) {
      filters().forEach(({ id }) => {
        if (bar[id] && bar[id].data) known[id] = bar[id].data;
      });
    },

    // A value that is not among the choices would look as if nothing were chosen.
    offer: function (id, value) {
      if (!value || !filters().some((filter) => filter.id === id)) return;
      const choices = known[id] || [];
      if (!choices.some((choice) => choice.value === value)) {
        known[id] = [...choices, { value: value, label: value }];
        modelwatch.tellShell(id, { data: known[id] });
      }
      modelwatch.tellShell(id + "-box", { hidden: false });
    },

    // Says what is chosen and does not apply here; it does again on the next page.
    tell: function ({ page, fields }) {
      const acts = (field) => page.filters.includes(field) || (page.standIns[field] && !fields[page.standIns[field]]);
      const idle = filters().filter(({ field }) => !acts(field));
      filters().forEach((filter) => modelwatch.tellShell(filter.id, { disabled: idle.includes(filter) }));
      const chosen = idle.filter(({ field }) => fields[field]).map(({ title }) => title);
      modelwatch.tellShell("filter-note", { children: chosen.length ? sentence(chosen) : "" });
    },
  };
})();
