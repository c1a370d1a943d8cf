// The pulse of the page: once a second it decides whether to ask for new figures, and says how the page is doing.
// One question is under way at a time; a hidden or paused page asks nothing; silence is noticed and explained.
(function () {
  "use strict";
  const clientside = (window.dash_clientside = window.dash_clientside || {});
  const SLACK_MS = 150;

  const state = {
    number: 0, // of the latest question
    search: null, // what it asked for
    askedAt: 0,
    waitingSince: null, // when the oldest question without an answer was asked
    receipt: null, // the latest
    filled: null, // the latest that came with figures
    isProbing: false,
    isReachable: true,
  };

  const clockText = (seconds) => new Date(1000 * seconds).toLocaleTimeString([], { hour12: false });

  function age(seconds) {
    const whole = Math.max(Math.floor(seconds), 0);
    if (whole < 60) return whole + " s";
    if (whole < 3600) return Math.floor(whole / 60) + " min " + (whole % 60) + " s";
    return Math.floor(whole / 3600) + " h " + Math.floor((whole % 3600) / 60) + " min";
  }

  function take(receipt) {
    if (!receipt || receipt === state.receipt || receipt.ask !== state.number) return;
    state.receipt = receipt;
    state.waitingSince = null;
    state.isReachable = true;
    if (receipt.state === "filled") state.filled = receipt;
  }

  // Finds out whether silence means a slow answer or no server; then asks again as soon as there is one.
  function probe() {
    if (state.isProbing) return;
    state.isProbing = true;
    fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(3000) })
      .then(
        () => {
          if (!state.isReachable) state.search = null;
          state.isReachable = true;
        },
        () => (state.isReachable = false)
      )
      .finally(() => (state.isProbing = false));
  }

  function shouldAsk(search, isPaused, now, constants) {
    if (search === null || search === undefined || document.hidden) return false;
    if (search !== state.search) return true;
    if (isPaused) return false;
    // A question may get lost with a server that restarts. Asking again costs little: the server answers equal
    // questions together.
    if (state.waitingSince !== null) return now - state.askedAt >= 2000 * constants.answerTimeoutS;
    return now - state.askedAt >= 1000 * (state.receipt ? state.receipt.pace_s : 1) - SLACK_MS;
  }

  function ask(search, now) {
    state.number += 1;
    state.search = search;
    state.askedAt = now;
    if (state.waitingSince === null) state.waitingSince = now;
    return { number: state.number, search: search };
  }

  // Returns [class, name of the state, notice].
  function condition(isPaused, now, constants) {
    const silentS = state.waitingSince === null ? 0 : (now - state.waitingSince) / 1000;
    const figures = state.filled ? " The figures are those of " + clockText(state.filled.end_s) + "." : "";
    if (silentS >= constants.answerTimeoutS) {
      if (state.isReachable) {
        return ["behind", "Behind", "ModelWatch has been working on its answer for " + age(silentS) + "." + figures];
      }
      return ["cut-off", "Cut off", "ModelWatch has not answered for " + age(silentS) + "; trying again." + figures];
    }
    const receipt = state.receipt;
    if (!receipt) return ["loading", "Loading", ""];
    if (receipt.state === "failed") return ["failed", "Error", receipt.message + " Trying again." + figures];
    if (isPaused) return ["paused", "Paused", ""];
    if (receipt.state === "empty") return receipt.message ? ["empty", "Live", ""] : ["unused", "Waiting", ""];
    const silence = receipt.now_s - receipt.newest_s;
    if (silence >= constants.staleAfterS) {
      const since = clockText(receipt.newest_s);
      return ["behind", "Behind", "No service has been called for " + age(silence) + ", since " + since + ". If there is traffic, look at the exporters' logs."];
    }
    return ["live", "Live", ""];
  }

  // A hidden page is slowed down by the browser, so what seemed to take long there means nothing.
  document.addEventListener("visibilitychange", () => {
    if (state.waitingSince !== null) state.waitingSince = Date.now();
  });

  const pulse = {
    beat: function (_beats, search, receipt, clicks, constants) {
      const now = Date.now();
      const isPaused = (clicks || 0) % 2 === 1;
      take(receipt);
      if (state.waitingSince !== null && now - state.waitingSince >= 1000 * constants.answerTimeoutS) probe();
      const question = shouldAsk(search, isPaused, now, constants) ? ask(search, now) : clientside.no_update;
      const [name, title, notice] = condition(isPaused, now, constants);
      const shown = state.receipt && state.receipt.end_s !== null ? state.receipt : state.filled;
      return [
        question,
        "page is-" + name + (state.filled ? " has-figures" : ""),
        notice,
        "live is-" + name,
        title,
        shown ? clockText(shown.end_s) : "",
        state.receipt && state.receipt.message ? state.receipt.message : "",
      ];
    },
  };
  clientside.modelwatch = Object.assign(clientside.modelwatch || {}, pulse);
})();
