// How the cells of the services table are drawn. Everything goes through React as text, so names are never markup.
(function (cells) {
  "use strict";
  const element = React.createElement;
  const NAMES = { critical: "Critical", degraded: "Degraded", healthy: "Healthy", no_data: "Silent" };
  const TROUBLED = ["critical", "degraded"];

  cells.Service = function (props) {
    const name = props.value;
    const address = new URLSearchParams(window.location.search);
    address.set("service", name);
    const choose = (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      window.dash_clientside.set_props("chosen-service", { data: name });
    };
    return element(
      "a",
      { href: "?" + address.toString(), className: "service", onClick: choose, title: props.data.details },
      element("bdi", { className: "service-name" }, name),
      element("bdi", { className: "service-version" }, props.data.version)
    );
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
