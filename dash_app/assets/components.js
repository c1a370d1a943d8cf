// Our own components: what components.py names, and what the table's cells are drawn with.
(function () {
  "use strict";
  const element = React.createElement;
  const HEIGHT = 24;
  const WIDTH = 120;

  // Returns the path of the line, of the area under it, and lone points, which a line would not show.
  function paths(values, isFromZero) {
    const known = values.filter((value) => value !== null && value !== undefined);
    const low = isFromZero ? 0 : Math.min(...known);
    const span = Math.max(...known) - low || 1;
    const side = 1;
    const step = (WIDTH - 2 * side) / Math.max(values.length - 1, 1);
    const top = 2;
    const bottom = HEIGHT - 1.5;
    let line = "";
    let area = "";
    let run = [];
    const lone = [];
    const finish = () => {
      if (run.length === 1) lone.push(run[0]);
      if (run.length > 1) {
        const points = run.map(([x, y]) => x.toFixed(1) + " " + y.toFixed(1)).join("L");
        line += "M" + points;
        area += "M" + points + "L" + run[run.length - 1][0].toFixed(1) + " " + HEIGHT + "L" + run[0][0].toFixed(1) + " " + HEIGHT + "Z";
      }
      run = [];
    };
    values.forEach((value, index) => {
      if (value === null || value === undefined) finish();
      else run.push([side + index * step, bottom - ((value - low) / span) * (bottom - top)]);
    });
    finish();
    lone.forEach(([x, y]) => (line += "M" + Math.min(Math.max(x - 1, 0), WIDTH - 2).toFixed(1) + " " + y.toFixed(1) + "h2"));
    return { line, area };
  }

  function Sparkline(props) {
    const values = props.values || [];
    const { line, area } = paths(values, props.is_from_zero !== false);
    return element(
      "svg",
      {
        className: "sparkline is-" + (props.colour || "accent"),
        viewBox: "0 0 " + WIDTH + " " + HEIGHT,
        preserveAspectRatio: "none",
        "aria-hidden": true,
        focusable: false,
      },
      element("path", { d: area, className: "sparkline-area" }),
      element("path", { d: line, className: "sparkline-line", vectorEffect: "non-scaling-stroke" })
    );
  }

  const PICTURES = {
    sun: "M12 7.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM12 2v2.5M12 19.5V22M2 12h2.5M19.5 12H22M4.9 4.9l1.8 1.8M17.3 17.3l1.8 1.8M4.9 19.1l1.8-1.8M17.3 6.7l1.8-1.8",
    moon: "M20.5 14.2A8.5 8.5 0 0 1 9.8 3.5a8.5 8.5 0 1 0 10.7 10.7z",
  };

  function Icon(props) {
    return element(
      "svg",
      { className: "icon", viewBox: "0 0 24 24", "aria-hidden": true, focusable: false },
      element("path", { d: PICTURES[props.name] })
    );
  }

  // Leads to a page, or to another view of this one. A plain click needs no reload.
  function PageLink(props) {
    const { address } = window.modelwatch;
    const fields = props.fields || {};
    // Most links lead where they led when only the page has changed, and there are hundreds.
    const href = React.useSyncExternalStore(whenAddressChanges, () => address.href(props.path, fields));
    const isHere = React.useSyncExternalStore(whenAddressChanges, () => address.isHere(props.path));
    const follow = (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      address.go(href);
    };
    return element(
      "a",
      {
        href: href,
        className: props.className,
        onClick: follow,
        title: props.title,
        "aria-current": isHere && Object.keys(fields).length === 0 ? "page" : undefined,
      },
      props.children
    );
  }

  // A line that opens to what is below it; which are open is in the address, so that a link shows a colleague the same.
  const MOST_OPEN = 20;
  function Fold(props) {
    const address = useAddress();
    const open = (address.current.fields[props.field] || "").split(",").filter(Boolean);
    const isOpen = open.includes(props.name);
    const toggle = (event) => {
      event.preventDefault();
      const now = isOpen ? open.filter((name) => name !== props.name) : [...open, props.name].slice(-MOST_OPEN);
      address.change({ [props.field]: now.join(",") || null });
    };
    const [line, below] = props.children;
    return element("details", { className: props.className, open: isOpen }, element("summary", { key: "line", onClick: toggle }, line), isOpen && below);
  }

  function whenAddressChanges(listen) {
    window.addEventListener("modelwatch-address", listen);
    return () => window.removeEventListener("modelwatch-address", listen);
  }

  // Redraws a component whenever the address changes.
  function useAddress() {
    const [, redraw] = React.useState(0);
    React.useEffect(() => whenAddressChanges(() => redraw((count) => count + 1)), []);
    return window.modelwatch.address;
  }

  // What a field of the browser's own for dates takes, in the zone that is shown, and back.
  function fieldText(milliseconds, isUtc) {
    const shift = isUtc ? 0 : new Date(milliseconds).getTimezoneOffset() * 60000;
    return new Date(milliseconds - shift).toISOString().slice(0, 19);
  }
  const momentOf = (text, isUtc) => new Date(text + (isUtc ? "Z" : "")).getTime();

  function TimePicker(props) {
    const address = useAddress();
    const [isOpen, setOpen] = React.useState(false);
    const [from, setFrom] = React.useState("");
    const [to, setTo] = React.useState("");
    const chosen = address.chosenTime();
    const isUtc = address.isUtc();
    const toggle = () => {
      const [start, end] = chosen || [Date.now() - 3600000, Date.now()];
      setFrom(fieldText(start, isUtc));
      setTo(fieldText(end, isUtc));
      setOpen(!isOpen);
    };
    const problem = address.timeProblem(momentOf(from, isUtc), momentOf(to, isUtc));
    const apply = (event) => {
      event.preventDefault();
      if (problem) return;
      address.chooseTime(momentOf(from, isUtc), momentOf(to, isUtc));
      setOpen(false);
    };
    const field = (name, value, set) =>
      element(
        "label",
        { key: name },
        name,
        element("input", { type: "datetime-local", step: 1, value: value, required: true, onChange: (event) => set(event.target.value) })
      );
    const yearOf = (moment) => (isUtc ? new Date(moment).getUTCFullYear() : new Date(moment).getFullYear());
    const isThisYear = !chosen || chosen.every((moment) => yearOf(moment) === yearOf(Date.now()));
    const day = { day: "numeric", month: "short", ...(isThisYear ? {} : { year: "numeric" }) };
    const text = chosen
      ? window.modelwatch.timeText(chosen[0], day) + " – " +
        window.modelwatch.timeText(chosen[1], chosen[1] - chosen[0] < 86400000 ? {} : day)
      : "Custom";
    return element(
      "div",
      { className: props.className, onKeyDown: (event) => event.key === "Escape" && setOpen(false) },
      element(
        "button",
        { key: "open", type: "button", className: "time-button" + (chosen ? " is-chosen" : ""), onClick: toggle, "aria-expanded": isOpen, title: "Choose any range of time" },
        text
      ),
      chosen &&
        element("button", { key: "now", type: "button", className: "time-now", onClick: () => address.chooseTime() }, "Back to now"),
      isOpen &&
        element(
          "form",
          { key: "form", className: "time-form", onSubmit: apply },
          field("From", from, setFrom),
          field("To", to, setTo),
          element("small", { key: "zone" }, isUtc ? "UTC" : "Your time"),
          element("button", { key: "apply", type: "submit", className: "time-apply", disabled: problem !== "" }, "Show"),
          element("small", { key: "problem", className: "time-problem", role: "status" }, problem)
        )
    );
  }

  function CsvButton(props) {
    const save = () => window.modelwatch.saveCsv(props.of, props.columns);
    return element("button", { type: "button", className: props.className, onClick: save, title: "Save as CSV" }, "CSV");
  }

  function Moment(props) {
    useAddress();
    return element("time", { className: "mono" }, window.modelwatch.timeText(1000 * props.second, { day: "numeric", month: "short" }));
  }

  // What is drawn in it comes past React: Plotly keeps it.
  function Chart(props) {
    const node = React.useRef(null);
    React.useLayoutEffect(() => window.modelwatch.drawing.begin(props.id, node.current), [props.id]);
    return element("div", { id: props.id, className: props.className }, element("div", { ref: node, className: "drawing" }));
  }

  // Redraws a component when it turns out that nobody is signed in any more, so that nothing can be changed.
  function useSignedOut() {
    const [isSignedOut, setSignedOut] = React.useState(() => window.modelwatch.pulse.isSignedOut());
    React.useEffect(() => {
      const listen = () => setSignedOut(true);
      window.addEventListener("modelwatch-signed-out", listen);
      return () => window.removeEventListener("modelwatch-signed-out", listen);
    }, []);
    return isSignedOut;
  }

  // A button whose click is told to the server by a store. One that asks first forgets the question after a while.
  function ActionButton(props) {
    const isSignedOut = useSignedOut();
    const [isAsking, setAsking] = React.useState(false);
    React.useEffect(() => {
      if (!isAsking) return undefined;
      const timer = setTimeout(() => setAsking(false), 4000);
      return () => clearTimeout(timer);
    }, [isAsking]);
    // The same place may have become the button of something else.
    React.useEffect(() => setAsking(false), [props.label]);
    const click = () => {
      if (props.confirm && !isAsking) return setAsking(true);
      setAsking(false);
      window.dash_clientside.set_props(props.store, { data: { ...props.action, click: Date.now() } });
    };
    // Who steers by voice says what is written on it.
    const text = isAsking ? props.confirm : props.text;
    const label = props.label.includes(text) ? props.label : text + ", " + props.label;
    return element(
      "button",
      {
        type: "button",
        className: props.className + (isAsking ? " is-asking" : ""),
        onClick: click,
        disabled: isSignedOut,
        title: isSignedOut ? "You are signed out." : props.label,
        "aria-label": label,
        "aria-pressed": typeof props.isPressed === "boolean" ? props.isPressed : undefined,
      },
      text
    );
  }

  // What was written, as a number, by the units that it may be written in; nothing where it is none. Of what the server
  // reads as a number nothing may be missed: without a question it would delete. It takes more for blanks than `trim`.
  function written(text, units) {
    const match = /^[\s\x1c-\x1f\x85]*([0-9.eE+-]{1,40})\s*([a-zA-Z]{0,3})[\s\x1c-\x1f\x85]*$/.exec(text);
    const unit = match ? match[2].toLowerCase() : "";
    const size = Object.keys(units).find((name) => name.toLowerCase() === unit || (name === "min" && unit === "m"));
    return match && (size || !unit) ? Number(match[1]) * (unit ? units[size] : 1) : NaN;
  }

  // A value that somebody may write anew. What they write lasts until it is saved and holds, or they undo it. One that
  // asks first, as it deletes where it is lowered, is answered by its button alone: Enter in the field may be held down.
  function ValueEditor(props) {
    const isSignedOut = useSignedOut();
    const [draft, write] = React.useState(null);
    const [isAsking, setAsking] = React.useState(false);
    const setDraft = (text) => {
      write(text);
      setAsking(false);
    };
    React.useEffect(() => setDraft(null), [props.version]);
    const isWritten = draft !== null && draft !== props.value;
    // What is no such number is refused by the server, and needs no question.
    const number = props.confirm ? written(draft || "", props.units) : NaN;
    const asksFirst = number >= 0 && number < props.asksBelow;
    const save = (event) => {
      if (!isWritten || isSignedOut) return;
      if (asksFirst && !(isAsking && event.type === "click")) return setAsking(true);
      setAsking(false);
      window.dash_clientside.set_props(props.store, { data: { ...props.action, value: draft, click: Date.now() } });
    };
    const text = isAsking ? props.confirm.replace("{}", draft) : "Save";
    const press = (event) => {
      if (event.key === "Enter") save(event);
      if (event.key === "Escape") setDraft(null);
    };
    const common = {
      key: "value",
      value: draft === null ? props.value : draft,
      onChange: (event) => setDraft(event.target.value),
      onKeyDown: press,
      "aria-label": props.label,
      className: "value-field mono",
    };
    const options = (props.choices || []).map((choice) => element("option", { key: choice, value: choice }, choice));
    return element(
      "span",
      { className: "value-editor" + (isWritten ? " is-written" : "") },
      props.choices ? element("select", common, options) : element("input", { ...common, type: "text", spellCheck: false, autoComplete: "off" }),
      isWritten &&
        element(
          "button",
          { key: "save", type: "button", className: "act is-main" + (isAsking ? " is-asking" : ""), onClick: save, disabled: isSignedOut, "aria-label": text + " " + props.label },
          text
        ),
      isWritten && element("button", { key: "undo", type: "button", className: "act is-quiet", onClick: () => setDraft(null), "aria-label": "Undo " + props.label }, "Undo"),
      isWritten && isSignedOut && element("small", { key: "lost", className: "settings-failure", role: "alert" }, "Not saved: you are signed out.")
    );
  }

  // Draws what is described as Dash describes it, in the nodes that are there already.
  function drawn(part, index) {
    if (Array.isArray(part)) return part.map(drawn);
    if (!part || !part.props) return part;
    const { children, ...props } = part.props;
    const isHtml = part.namespace === "dash_html_components";
    const type = isHtml ? part.type.toLowerCase() : window.modelwatch_components[part.type];
    return element(type, { key: index, ...props }, drawn(children));
  }

  function Lasting(props) {
    const outside = { id: props.id, className: props.className, "aria-label": props.label || undefined };
    return element(props.label ? "section" : "div", outside, drawn(props.content));
  }

  window.modelwatch_components = { Sparkline, Icon, PageLink, Fold, TimePicker, CsvButton, Chart, Moment, ActionButton, ValueEditor, Lasting };
})();
