// What is shown, kept in the address: which page, and the fields that links and controls choose. Read on load and on
// "back", written when a control changes. What the fields are is told by the server, in the document's head.
(function () {
  "use strict";
  const modelwatch = (window.modelwatch = window.modelwatch || {});
  const clientside = (window.dash_clientside = window.dash_clientside || {});
  const facts = JSON.parse(document.getElementById("facts").textContent);

  // Pages know nothing of the path below which a reverse proxy shows all of them.
  const base = facts.basePath;
  const within = (path) => (path.startsWith(base + "/") ? path.slice(base.length) : path);

  const pageAt = (path) => facts.pages.find((page) => page.path === path) || facts.pages[0];
  const controlsOf = (page) => [...facts.controls, ...page.controls];

  function checked(control, value) {
    const isUnknown = control.choices && !control.choices.includes(value);
    if (value === null || value === undefined || value === "" || isUnknown) return control.default;
    return typeof value === "string" ? value.replaceAll("\0", "\ufffd") : value; // as the server does
  }

  function fieldsIn(search, page) {
    const given = new URLSearchParams(search);
    return Object.fromEntries(controlsOf(page).map((control) => [control.field, checked(control, given.get(control.field))]));
  }

  // Without what is the default.
  function searchOf(page, fields, controls) {
    const search = new URLSearchParams();
    (controls || controlsOf(page)).forEach((control) => {
      const value = checked(control, fields[control.field]);
      if (value !== control.default) search.set(control.field, value);
    });
    const text = search.toString();
    return text ? "?" + text : "";
  }

  const current = { page: null, fields: {} };
  function read() {
    current.page = pageAt(within(window.location.pathname));
    current.fields = fieldsIn(window.location.search, current.page);
    if (!chosenTime()) current.fields.from = current.fields.to = null; // what the server would not take is not asked
  }

  const askedOf = (page, fields) => searchOf(page, fields, controlsOf(page).filter((control) => control.is_asked));

  // What another question of this page chose differently, in words. A time of its own takes the place of a named range.
  const TIMES = ["range", "from", "to"];
  function chosenIn(search) {
    const then = fieldsIn(search, current.page);
    const isOther = (field) => then[field] !== current.fields[field];
    const titleOf = (field) => (facts.filters.find((filter) => filter.field === field) || { title: field }).title.toLowerCase();
    const others = controlsOf(current.page).filter((control) => control.is_asked && !TIMES.includes(control.field));
    const words = others.filter(({ field }) => isOther(field)).map(({ field }) => titleOf(field) + " " + (then[field] || "not chosen"));
    if (TIMES.some(isOther)) words.unshift(then.from ? "from " + then.from + " to " + then.to : "range " + then.range);
    return words.join(", ");
  }

  // A moment with its zone in whole seconds, as milliseconds; not a number if it is none. Browsers read more than that,
  // such as times without a zone and the 30th of February.
  const MOMENT = /^(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6})?)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/;
  function momentOf(text) {
    const found = MOMENT.exec((text || "").toUpperCase());
    const day = found ? new Date(found[1]) : new Date(NaN);
    if (isNaN(day) || day.toISOString().slice(0, 10) !== found[1]) return NaN;
    return 1000 * Math.floor(Date.parse(found[0]) / 1000);
  }

  // Why the server would not take a range of time, given in milliseconds; nothing if it would.
  function timeProblem(from, to) {
    const { shortestS, longestS, earliestS } = facts.chosenTime;
    if (isNaN(from) || isNaN(to)) return "Give a beginning and an end";
    if (from >= to) return "The end must be after the beginning";
    if (to - from < 1000 * shortestS) return "At least " + shortestS + " seconds";
    if (to - from > 1000 * longestS) return "At most " + longestS / 86400 + " days";
    if (from < 1000 * earliestS) return "Not before " + rfc3339(1000 * earliestS).slice(0, 10);
    return "";
  }

  // The range that was chosen instead of a named one, as milliseconds.
  function chosenTime() {
    const [from, to] = [momentOf(current.fields.from), momentOf(current.fields.to)];
    return timeProblem(from, to) ? null : [from, to];
  }
  const rfc3339 = (milliseconds) => new Date(milliseconds).toISOString().slice(0, 19) + "Z";

  // The fields of a range of time, which is at least as long as the shortest.
  function timeFields(from, to) {
    const end = Math.max(Math.ceil(to / 1000), Math.floor(from / 1000) + facts.chosenTime.shortestS);
    return { from: rfc3339(from), to: rfc3339(1000 * end) };
  }

  function announce() {
    modelwatch.filters.tell(current);
    window.dispatchEvent(new CustomEvent("modelwatch-address"));
    clientside.set_props("address", { data: window.location.pathname + window.location.search });
  }

  // Sets the controls that are there to what the address says.
  function restore(controls) {
    controls
      .filter((control) => control.id && document.getElementById(control.id))
      .forEach((control) => {
        const value = control.id === "range" && chosenTime() ? "" : current.fields[control.field];
        modelwatch.filters.offer(control.id, value);
        clientside.set_props(control.id, { [control.property]: value });
      });
  }

  window.addEventListener("popstate", () => {
    const before = current.page;
    read();
    restore(before === current.page ? controlsOf(current.page) : facts.controls);
    announce();
  });
  read();

  modelwatch.facts = facts;
  modelwatch.timeText = function (milliseconds, options) {
    const zone = current.fields.tz === "utc" ? { timeZone: "UTC" } : {};
    const time = { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false };
    return new Date(milliseconds).toLocaleString([], { ...time, ...zone, ...options });
  };
  modelwatch.address = {
    current: current,

    // What the server is asked about; what only the browser does is left out.
    asked: () => askedOf(current.page, current.fields),

    chosenIn: chosenIn,

    // Once the shell is there.
    begin: function () {
      restore(facts.controls);
      announce();
    },

    // The address of a page with what is chosen for all pages, and with all that is chosen here if it is this one.
    href: function (path, fields) {
      const page = pageAt(path);
      const isHere = page === current.page && Object.keys(fields || {}).length > 0;
      const kept = isHere ? controlsOf(page) : facts.controls;
      const values = Object.fromEntries(kept.map((control) => [control.field, current.fields[control.field]]));
      return base + path + searchOf(page, { ...values, ...fields });
    },

    // Where the login leads back to.
    place: () => within(window.location.pathname) + window.location.search,

    restore: restore,
    chosenTime: chosenTime,
    timeProblem: timeProblem,

    // Shows a range of time, at least ten seconds; without one the named range up to now.
    chooseTime: function (from, to) {
      const fields = to === undefined ? { from: null, to: null } : timeFields(from, to);
      modelwatch.address.go(window.location.pathname + searchOf(current.page, { ...current.fields, ...fields }));
    },
    timeFields: timeFields,

    isUtc: () => current.fields.tz === "utc",

    isHere: (path) => pageAt(path) === current.page,

    go: function (address) {
      if (address === window.location.pathname + window.location.search) return;
      window.history.pushState(null, "", address);
      const before = current.page;
      read();
      if (before === current.page) restore(controlsOf(current.page));
      else window.scrollTo(0, 0);
      announce();
    },

    // What is asked for gets an entry in the browser's history, so that "back" returns to it; other fields only change
    // the entry.
    change: function (fields) {
      const before = askedOf(current.page, current.fields);
      Object.assign(current.fields, fields);
      if (fields.range) current.fields.from = current.fields.to = null;
      const address = window.location.pathname + searchOf(current.page, current.fields);
      if (address === window.location.pathname + window.location.search) return;
      const isSameQuestion = askedOf(current.page, current.fields) === before;
      window.history[isSameQuestion ? "replaceState" : "pushState"](null, "", address);
      announce();
    },
  };

  clientside.modelwatch = Object.assign(clientside.modelwatch || {}, {
    change: function () {
      const changed = {};
      clientside.callback_context.triggered.forEach((change) => {
        const control = controlsOf(current.page).find(({ id, property }) => change.prop_id === id + "." + property);
        // The choice of named ranges is cleared when another time is shown, which chooses none.
        if (control && !(control.id === "range" && !change.value)) changed[control.field] = checked(control, change.value);
      });
      modelwatch.address.change(changed);
    },
  });
})();
