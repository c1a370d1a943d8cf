// The pulse of the page: once a second it decides whether to ask for new figures, and says how the page is doing.
// A question is followed over the WebSocket of push.js, which feeds the page from then on; without one it is asked by
// HTTP, one at a time. A hidden or paused page is neither fed nor asks; silence is noticed and explained.
(function () {
  "use strict";
  const modelwatch = (window.modelwatch = window.modelwatch || {});
  const clientside = (window.dash_clientside = window.dash_clientside || {});
  const SLACK_MS = 150;
  const PROBE_AFTER_MS = 2000;
  const EXPLAINED_AFTER_MS = 500; // that figures are not of what is asked now

  const state = {
    number: 0, // of the latest question
    turnedTo: null, // the page that is open
    page: null, // whose the question was; nothing if the open page has not been asked yet
    search: null, // what it asked for
    width: 0, // of its charts when it asked
    askedAt: 0,
    changedAt: 0, // when the address said something else
    receivedAt: 0,
    waitingSince: null, // when the oldest question without an answer was asked
    receipt: null, // the latest of that question
    isProbing: false,
    isReachable: true,
    isSignedOut: false, // for as long as this document is open: reloading it leads to the login
    isRefused: false, // whether the latest question found nobody to take it
  };

  const clockText = (seconds) => modelwatch.timeText(1000 * seconds, {});

  function age(seconds) {
    const whole = Math.max(Math.floor(seconds), 0);
    if (whole < 60) return whole + " s";
    if (whole < 3600) return Math.floor(whole / 60) + " min " + (whole % 60) + " s";
    return Math.floor(whole / 3600) + " h " + Math.floor((whole % 3600) / 60) + " min";
  }

  function take(receipt) {
    if (!receipt || receipt === state.receipt || receipt.ask !== state.number) return;
    state.receipt = receipt;
    state.receivedAt = Date.now();
    state.waitingSince = null;
    state.isReachable = true;
    state.isRefused = false;
  }

  // Finds out whether silence means a slow answer or no server; then asks again as soon as there is one.
  function probe() {
    if (state.isProbing || state.isSignedOut) return;
    state.isProbing = true;
    fetch(modelwatch.facts.basePath + "/healthz", { cache: "no-store", signal: AbortSignal.timeout(3000) })
      .then(() => true, () => false)
      .then((isReachable) => {
        state.isProbing = false;
        const wasReachable = state.isReachable;
        state.isReachable = isReachable;
        if (isReachable && (!wasReachable || state.isRefused)) forgetQuestion();
        if (isReachable) modelwatch.push.hurry();
        if (isReachable !== wasReachable) nudge();
      });
  }

  // Not only with the next beat.
  let nudges = 0;
  const beatNow = () => clientside.set_props("nudge", { data: (nudges += 1) });
  const nudge = () => state.number && beatNow(); // there is nothing before

  // The server of now never got the question, so it is asked anew, and the waiting begins anew.
  function forgetQuestion() {
    state.page = null;
    state.waitingSince = null;
    state.isRefused = false;
  }

  // Dash tells nobody when its request fails, and stumbles over it. It is told that there is nothing new instead.
  const nothingNew = () => new Response(null, { status: 204 });

  function admitted(answer) {
    if (answer.status !== 401) return answer;
    state.isSignedOut = true;
    window.dispatchEvent(new Event("modelwatch-signed-out"));
    nudge();
    return nothingNew();
  }

  function refused() {
    if (state.waitingSince !== null) {
      state.isRefused = true;
      probe();
    }
    return nothingNew();
  }

  const send = window.fetch;
  window.fetch = (...request) => {
    const sent = send(...request);
    return String(request[0]).includes("_dash-update-component") ? sent.then(admitted, refused) : sent;
  };

  function shouldAsk(page, search, isPaused, now) {
    if (document.hidden || state.isSignedOut) return false;
    // Before anything is drawn it is not known how much there is room for; later the answer comes while the page is drawn.
    if (state.number === 0 && !modelwatch.isShown(page)) return false;
    if (page !== state.page || search !== state.search) return true;
    if (isPaused) return false;
    if (modelwatch.push.isOpen()) {
      return !modelwatch.push.isFed(state.number) || hasOtherRoom();
    }
    // A question may get lost with a server that restarts. Asking again costs little: the server answers equal
    // questions together.
    if (state.waitingSince !== null) return now - state.askedAt >= 2000 * modelwatch.facts.answerTimeoutS;
    return now - state.askedAt >= 1000 * (state.receipt ? state.receipt.pace_s : 1) - SLACK_MS;
  }

  // Whether the charts have become so much wider or narrower that they are answered in other steps.
  function hasOtherRoom() {
    const isWide = (width) => width >= modelwatch.facts.wideFromPx;
    const width = modelwatch.charts.width();
    return width > 0 && isWide(width) !== isWide(state.width);
  }

  // How wide the charts of a page were when it was open; to measure them takes what drawing the page takes.
  const widths = new Map();
  function measured(page) {
    const width = modelwatch.charts.width();
    if (width > 0 && modelwatch.isShown(page)) widths.set(page, width);
    return width || state.width;
  }

  // Returns the question if it is to be asked by HTTP.
  function ask(page, search, now, width) {
    const isSame = page === state.page && search === state.search;
    Object.assign(state, { number: state.number + 1, page: page, search: search, width: width, askedAt: now });
    if (state.waitingSince === null) state.waitingSince = now;
    if (!isSame) state.receipt = null;
    const question = { number: state.number, page: page, search: search, width: width };
    if (!modelwatch.push.isOpen()) return question;
    modelwatch.push.follow(question, isSame);
    return clientside.no_update;
  }

  // An update that is due and does not come is waited for like an answer.
  function expect(now) {
    if (state.waitingSince !== null || !state.receipt || !modelwatch.push.isFed(state.number)) return;
    const dueAt = state.receivedAt + 1000 * state.receipt.pace_s;
    if (now - dueAt > SLACK_MS) state.waitingSince = dueAt;
  }

  // What the notice says with the way back in, which leads to this very address. Made once for each address, so that
  // the link is not drawn anew under somebody's finger.
  let told = null;
  function signedOut(figures) {
    const href = modelwatch.facts.basePath + "/login?next=" + encodeURIComponent(modelwatch.address.place());
    if (told === null || told.href !== href) {
      const link = { namespace: "dash_html_components", type: "A", props: { href: href, children: "Sign in again" } };
      told = { href: href, notice: ["You are signed out.", link, "to come back to this view. What is written and not saved is lost." + figures] };
    }
    return told.notice;
  }

  // Why there is nothing to show, and below it what to do, which is the last sentence.
  let reason = "";
  function reasonOf(receipt) {
    const message = (receipt && receipt.message) || "";
    if (message === reason) return clientside.no_update;
    reason = message;
    const end = message.lastIndexOf(". ") + 1;
    if (end === 0) return message;
    const advice = { className: "empty-advice", children: message.slice(end).trim() };
    return [message.slice(0, end) + " ", { namespace: "dash_html_components", type: "Span", props: advice }];
  }

  const isAsked = () => state.page === state.turnedTo && state.search === modelwatch.address.asked();

  // Of when the figures are that are to be seen, and of what, if that is not what the address says.
  function words(figures) {
    if (!figures) return "";
    const isOther = figures.search !== modelwatch.address.asked();
    const question = isOther ? ", and of what was chosen before: " + modelwatch.address.chosenIn(figures.search) : "";
    return " The figures are those of " + clockText(figures.receipt.end_s ?? figures.receipt.now_s) + question + ".";
  }

  // Returns [class, name of the state, notice].
  function condition(isPaused, now) {
    const silentS = state.waitingSince === null ? 0 : (now - state.waitingSince) / 1000;
    const seen = modelwatch.seen();
    const figures = words(seen);
    if (state.isSignedOut) {
      return ["cut-off", "Signed out", signedOut(figures)];
    }
    if (!state.isReachable) {
      return ["cut-off", "Cut off", "ModelWatch has not answered for " + age(Math.max(silentS, 1)) + "; trying again." + figures];
    }
    if (silentS >= modelwatch.facts.answerTimeoutS && !state.isRefused) {
      return ["behind", "Behind", "ModelWatch has been working on its answer for " + age(silentS) + "." + figures];
    }
    const receipt = isAsked() ? state.receipt : null;
    if (!receipt) {
      const isLate = now - state.changedAt >= EXPLAINED_AFTER_MS;
      const isOther = seen && seen.search !== modelwatch.address.asked();
      return ["loading", "Loading", isLate && isOther ? "There is no answer yet." + figures : ""];
    }
    if (receipt.state === "failed") return ["failed", "Error", receipt.message + " Trying again." + figures];
    if (isPaused) return ["paused", "Paused", ""];
    if (receipt.state === "empty") return receipt.message ? ["empty", receipt.is_past ? "Past" : "Live", ""] : ["unused", "Waiting", ""];
    if (receipt.is_past) return ["past", "Past", ""];
    const silence = receipt.newest_s === null ? 0 : receipt.now_s - receipt.newest_s;
    if (silence >= receipt.stale_after_s) {
      const since = clockText(receipt.newest_s);
      return ["behind", "Behind", "No service has been called for " + age(silence) + ", since " + since + ". If there is traffic, look at the exporters' logs."];
    }
    return ["live", "Live", ""];
  }

  // What is still to come for the page before is not waited for.
  function turnTo(page) {
    if (page === state.turnedTo) return;
    state.turnedTo = page;
    if (state.number > 0) state.number += 1;
    state.receipt = state.waitingSince = state.page = null;
  }

  // Another page or another question is asked about before anything of it is drawn. Without a WebSocket the beat does.
  window.addEventListener("modelwatch-address", () => {
    const [page, search] = [modelwatch.address.current.page.name, modelwatch.address.asked()];
    state.changedAt = Date.now();
    setTimeout(nudge, EXPLAINED_AFTER_MS);
    const isOther = page !== state.page || search !== state.search;
    if (state.number === 0 || !isOther || !modelwatch.push.isOpen() || !shouldAsk(page, search, false, 0)) return;
    turnTo(page);
    ask(page, search, Date.now(), widths.get(page) || state.width);
  });

  // A hidden page is slowed down by the browser, so what seemed to take long there means nothing.
  document.addEventListener("visibilitychange", () => {
    if (state.waitingSince !== null) state.waitingSince = Date.now();
    if (document.hidden) modelwatch.push.stop();
    else {
      modelwatch.push.hurry();
      nudge();
    }
  });

  // An answer that comes after another question was asked, or for a page that was left, is of no use.
  function show(answer) {
    if (!answer || answer.receipt.ask !== state.number || !modelwatch.isShown(answer.page)) return false;
    modelwatch.fill(answer, state.search);
    clientside.set_props("receipt", { data: answer.receipt });
    return true;
  }

  modelwatch.pulse = {
    nudge: nudge,

    // Something to fill is there: no need to wait for the next beat.
    begin: () => state.number || beatNow(),
    isSignedOut: () => state.isSignedOut,
    show: show,

    // The WebSocket that fed the page is gone, and perhaps the server.
    cut: function () {
      if (state.waitingSince === null) state.waitingSince = Date.now();
      state.isRefused = true;
      probe();
    },
  };

  let shownNotice = null;
  const pulse = {
    beat: function (_beats, _address, receipt, clicks) {
      const now = Date.now();
      const isPaused = (clicks || 0) % 2 === 1;
      const page = modelwatch.address.current.page.name;
      const search = modelwatch.address.asked();
      turnTo(page);
      take(receipt);
      if (document.hidden || (isPaused && state.waitingSince === null)) modelwatch.push.stop();
      else expect(now);
      const isSilent = state.waitingSince !== null && now - state.waitingSince >= PROBE_AFTER_MS;
      if (isSilent || !state.isReachable) probe();
      const question = shouldAsk(page, search, isPaused, now) ? ask(page, search, now, measured(page)) : clientside.no_update;
      const [name, title, notice] = condition(isPaused, now);
      const seen = modelwatch.seen();
      const isOfNow = isAsked() && state.receipt && state.receipt.end_s !== null;
      const shown = isOfNow ? state.receipt : seen && seen.receipt;
      return [
        question,
        "page is-" + name + (seen && name !== "loading" ? " has-figures" : ""),
        notice === shownNotice ? clientside.no_update : (shownNotice = notice),
        "live is-" + name,
        title,
        shown ? clockText(shown.end_s) : "",
        reasonOf(state.receipt),
      ];
    },

    receive: async function (answer) {
      await modelwatch.untilReleased();
      if (answer) await modelwatch.untilDrawn(answer.page);
      show(answer && { ...answer, is_whole: true });
    },
  };
  clientside.modelwatch = Object.assign(clientside.modelwatch || {}, pulse);
})();
