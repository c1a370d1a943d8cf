// What the page shows, kept in its address: read on load and on "back", written when a control changes.
(function () {
  "use strict";
  const clientside = (window.dash_clientside = window.dash_clientside || {});

  function withFields(fields) {
    const search = new URLSearchParams();
    Object.entries(fields).forEach(([name, value]) => value && search.set(name, value));
    const text = search.toString();
    return text ? "?" + text : "";
  }

  // What is asked for gets an entry in the browser's history, so that "back" returns to it; the filters of the table
  // only change the entry. The Location component is told, as it would else take "back" for no change.
  let latest = null;
  function remember(asked, address) {
    if (address === window.location.search) {
      latest = asked;
      return;
    }
    const write = latest === asked || latest === null ? "replaceState" : "pushState";
    window.history[write](null, "", window.location.pathname + address);
    if (write === "pushState") {
      clientside.set_props("location", { search: address, href: window.location.href });
    }
    latest = asked;
  }

  // As names.py does for all other names.
  const isBlank = (name) => name.trim() === "";
  const visible = (name) => (isBlank(name) ? "(blank)" : name.replace(/[\p{Cc}\p{Cf}]/gu, "\ufffd"));

  const view = {
    restore: function (search, constants) {
      const fields = new URLSearchParams(search || "");
      const environment = fields.get("env") || null;
      return [
        constants.ranges.includes(fields.get("range")) ? fields.get("range") : constants.defaultRange,
        environment,
        environment ? [environment] : clientside.no_update,
        fields.get("service") || null,
        fields.get("q") || "",
        fields.get("show") === "unhealthy" ? "unhealthy" : "all",
      ];
    },

    choose: function (range, environment, service, text, health, constants) {
      const asked = { range: range === constants.defaultRange ? "" : range, env: environment, service: service };
      const filters = { q: text, show: health === "unhealthy" ? "unhealthy" : "" };
      remember(withFields(asked), withFields({ ...asked, ...filters }));
      window.dashAgGridFunctions.filterServices(text || "", health === "unhealthy");
      return [
        withFields(asked),
        service ? visible(service) : "",
        service && isBlank(service) ? "is-blank" : "",
        !service,
        service ? "requests of this service" : "all requests",
      ];
    },

    showAll: function () {
      return null;
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
  };
  clientside.modelwatch = Object.assign(clientside.modelwatch || {}, view);
})();
