// Draws charts with Plotly: each at once in its size, when there is something to draw. What is far from being seen is
// drawn when there is nothing else to do, and from then on when it comes near.
(function () {
  "use strict";
  const modelwatch = (window.modelwatch = window.modelwatch || {});
  const CONFIG = { displayModeBar: false, showTips: false, doubleClick: "autosize" };
  const NEAR = 0.5; // in heights of the window
  const IDLE_WITHIN_MS = 2000;
  const LOAD_WITHIN_MS = 500;

  const places = new Map(); // id of a chart: where it is drawn, and what
  const whenIdle = window.requestIdleCallback || ((work) => setTimeout(work, 200));

  function isNear(node) {
    const { top, bottom } = node.getBoundingClientRect();
    return bottom >= -NEAR * window.innerHeight && top <= (1 + NEAR) * window.innerHeight;
  }

  // Where nothing has a size, such as in a part that is hidden, nothing is drawn.
  function draw(place) {
    const { node, wanted } = place;
    const [width, height] = [node.clientWidth, node.clientHeight];
    if (!window.Plotly || !wanted || !width || !height) return;
    if (wanted === place.drawn && width === place.width && height === place.height) return;
    const isFirst = place.drawn === null;
    Object.assign(place, { drawn: wanted, width: width, height: height });
    // Plotly writes into what it is given.
    const layout = { ...structuredClone(wanted.layout), width: width, height: height };
    window.Plotly.react(node, wanted.data, layout, CONFIG);
    if (!isFirst) return;
    node.on("plotly_relayout", (event) => modelwatch.charts.zoomed(place.id, event));
    node.on("plotly_click", (event) => modelwatch.charts.clicked(place.id, event));
  }

  function drawWhenIdle(place) {
    if (place.drawn === null) whenIdle(() => places.get(place.id) === place && draw(place), { timeout: IDLE_WITHIN_MS });
  }

  function drawSoon(place) {
    if (isNear(place.node)) draw(place);
    else drawWhenIdle(place);
  }

  const placesOf = (entries) => [...places.values()].filter(({ node }) => entries.some(({ target }) => target === node));
  const coming = new IntersectionObserver(
    (entries) => placesOf(entries.filter(({ isIntersecting }) => isIntersecting)).forEach(draw),
    { rootMargin: 100 * NEAR + "% 0px" }
  );
  const sized = new ResizeObserver((entries) => placesOf(entries).forEach(drawSoon));

  function drawAll() {
    places.forEach(draw);
  }
  window.addEventListener("beforeprint", drawAll);

  // Plotly takes a while to be evaluated. There is time for that when Dash waits for the layout.
  function load() {
    const script = document.createElement("script");
    script.src = document.getElementById("plotly").href;
    script.onload = drawAll;
    document.head.append(script);
  }
  document.addEventListener("DOMContentLoaded", () => whenIdle(load, { timeout: LOAD_WITHIN_MS }));

  modelwatch.drawing = {
    // What is to be seen in a chart, whether it is there already or not yet.
    show: function (id, figure) {
      const place = places.get(id);
      if (!place) return;
      place.wanted = figure;
      drawSoon(place);
    },

    // Begins to draw into a node, and returns what ends it.
    begin: function (id, node) {
      const place = { id: id, node: node, wanted: null, drawn: null, width: 0, height: 0 };
      places.set(id, place);
      coming.observe(node);
      sized.observe(node);
      return function () {
        if (places.get(id) === place) places.delete(id);
        coming.unobserve(node);
        sized.unobserve(node);
        if (place.drawn) window.Plotly.purge(node);
      };
    },
  };
})();
