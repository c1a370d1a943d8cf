// How the cells of tables are drawn. Everything goes through React as text, so names are never markup.
(function (cells) {
  "use strict";
  const element = React.createElement;
  const NAMES = { critical: "Critical", degraded: "Degraded", healthy: "Healthy", no_data: "Silent" };
  const TROUBLED = ["critical", "degraded"];

  // A row that leads to another page, or to another view of this one, if it leads anywhere.
  cells.Named = function (props) {
    const row = props.data;
    const nameClass = "service-name" + (row.is_blank ? " is-blank" : "");
    const parts = [
      element("bdi", { className: nameClass, key: "name" }, row.name),
      element("bdi", { className: "service-version", key: "note" }, row.note),
    ];
    if (row.link === null) return element("span", { className: "service", title: row.details }, parts);
    const path = row.path || window.modelwatch.address.current.page.path;
    const link = { path: path, fields: row.link, className: "service", title: row.details };
    return element(window.modelwatch_components.PageLink, link, parts);
  };

  cells.State = function (props) {
    return element("span", { className: "pill is-" + props.data.state_tone }, props.value);
  };

  cells.Status = function (props) {
    return element("span", { className: "pill is-" + props.value }, NAMES[props.value] || props.value);
  };

  cells.Course = function (props) {
    const tone = props.toneField ? props.data[props.toneField] : null;
    return element(window.modelwatch_components.Sparkline, {
      values: props.value,
      colour: TROUBLED.includes(tone) ? tone : props.colour,
      is_from_zero: props.isFromZero,
    });
  };
})((window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {}));
