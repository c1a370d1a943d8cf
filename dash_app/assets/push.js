// The WebSocket that feeds the page. It connects by itself, again and again with growing pauses; while there is none,
// the pulse asks by HTTP. An update holds what changed since the one before, and the next comes when this one is shown.
(function () {
  "use strict";
  const modelwatch = (window.modelwatch = window.modelwatch || {});
  const FIRST_PAUSE_MS = 500;
  const LONGEST_PAUSE_MS = 30000;
  const COMPRESSED = 1;

  let socket = null;
  let pause = FIRST_PAUSE_MS;
  let timer = null;
  let following = null; // the question that the server answers by itself
  let held = new Map(); // what was sent of it, by section, component and property
  let updates = Promise.resolve(); // they are unpacked one after the other

  const isOpen = () => socket !== null && socket.readyState === WebSocket.OPEN;
  const say = (message) => socket.send(JSON.stringify(message));

  function connect() {
    timer = null;
    const { pushPath } = modelwatch.facts;
    if (!pushPath || socket !== null || !window.DecompressionStream || modelwatch.pulse.isSignedOut()) return;
    const opened = new WebSocket(window.location.origin.replace(/^http/, "ws") + pushPath);
    socket = opened;
    opened.binaryType = "arraybuffer";
    opened.onopen = () => {
      pause = FIRST_PAUSE_MS;
      modelwatch.pulse.nudge();
    };
    opened.onmessage = ({ data }) => {
      updates = updates.then(() => receive(opened, data)).catch((error) => {
        console.error("update not understood", error);
        opened.close();
      });
    };
    opened.onclose = () => {
      if (socket !== opened) return;
      const wasFed = following !== null;
      socket = following = null;
      // All pages of a server that restarts should not come back in the same moment.
      timer = setTimeout(connect, pause * (0.5 + Math.random()));
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
      if (wasFed) modelwatch.pulse.cut();
    };
  }

  async function unpacked(bytes) {
    const body = bytes.subarray(5);
    if (bytes[4] !== COMPRESSED) return JSON.parse(new TextDecoder().decode(body));
    const plain = new Blob([body]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(plain).json();
  }

  function patched(old, patch) {
    if ("v" in patch) return patch.v;
    if (patch.o) {
      const made = { ...old };
      Object.entries(patch.o).forEach(([name, part]) => (made[name] = patched(old[name], part)));
      (patch.d || []).forEach((name) => delete made[name]);
      return made;
    }
    const [drop, keep, changes, tail] = patch.l;
    const made = old.slice(drop, drop + keep);
    Object.entries(changes).forEach(([index, part]) => (made[index] = patched(made[index], part)));
    return made.concat(tail);
  }

  async function receive(from, data) {
    const bytes = new Uint8Array(data);
    const number = new DataView(data).getUint32(0);
    const update = await unpacked(bytes);
    await modelwatch.untilReleased();
    if (following !== null && number === following.number) await modelwatch.untilDrawn(update.page);
    if (from !== socket) return;
    if (following !== null && number === following.number) {
      if (update.is_whole) held = new Map();
      const answer = { ...update, receipt: { ...update.receipt, ask: number }, bar: {}, filling: {}, figures: {} };
      update.parts.forEach(([section, id, property, part, isPatch]) => {
        const path = section + " " + id + " " + property;
        const value = isPatch ? patched(held.get(path), part) : part;
        held.set(path, value);
        if (section === "figures") answer.figures[id] = value;
        else answer[section][id] = { ...answer[section][id], [property]: value };
      });
      following.isKept = modelwatch.pulse.show(answer);
      // What could not be put anywhere is asked for anew.
      following.isStopped = following.isStopped || !following.isKept;
    }
    say({ do: "done" });
  }

  modelwatch.push = {
    isOpen: isOpen,

    // Whether updates of this question come by themselves.
    isFed: (number) => isOpen() && following !== null && following.number === number && !following.isStopped,

    follow: function (question, isSame) {
      const keeps = Boolean(isSame && following && following.isKept);
      following = { number: question.number, isStopped: false, isKept: keeps };
      say({ do: "follow", ...question, keeps: keeps });
    },

    stop: function () {
      if (following === null || following.isStopped) return;
      following.isStopped = true;
      if (isOpen()) say({ do: "stop" });
    },

    // The server is there again, or the page is looked at again: no need to wait.
    hurry: function () {
      if (timer === null) return;
      clearTimeout(timer);
      connect();
    },
  };
  connect();
})();
