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

  const view = {
    restore: function (search, constants) {
      const fields = new URLSearchParams(search || "");
      const environment = fields.get("env") || null;
      return [
        fields.get("range") || constants.defaultRange,
        environment,
        environment ? [environment] : clientside.no_update,
        fields.get("service") || null,
        fields.get("q") || "",
        fields.get("show") === "unhealthy" ? "unhealthy" : "all",
      ];
    },

    choose: function (range, environment, service, text, health, constants) {
      const asked = { range: range === constants.defaultRange ? "" : range, env: environment, service: service };
      const address = withFields(
        Object.assign({}, asked, { q: text, show: health === "unhealthy" ? "unhealthy" : "" })
      );
      if (address !== window.location.search) {
        window.history.pushState(null, "", window.location.pathname + address);
      }
      window.dashAgGridFunctions.filterServices(text || "", health === "unhealthy");
      return [withFields(asked), service || "", !service];
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
