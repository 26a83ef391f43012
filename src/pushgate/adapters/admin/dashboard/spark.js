// A series as a small drawing: a line over the latest minutes, with its area and its last point.

import {setAttribute, svg} from "./nodes.js";

const WIDTH = 120, HEIGHT = 24, EDGE = 2;

// A drawing begins with room for two minutes, and has more of them as they come.
const LEAST = 24;

/** Make a sparkline. It is decoration: the numbers beside it say the same. The ground is there before the series is. */
export function spark() {
  const ground = svg("path", {class: "ground", d: `M${EDGE} ${HEIGHT - EDGE}H${WIDTH - EDGE}`});
  const area = svg("path", {class: "area"}), line = svg("path", {class: "line"}), dot = svg("path", {class: "dot"});
  const node = svg("svg", {
    class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true",
  }, ground, area, line, dot);
  let drawn = "";
  return {
    node,
    update(samples) {
      const text = samples.join();
      if (text === drawn) return;
      drawn = text;
      const points = places(samples, Math.max(LEAST, samples.length));
      setAttribute(line, "d", path(points));
      setAttribute(area, "d", areas(points));
      const last = points.at(-1);
      setAttribute(dot, "d", last ? `M${last[0]} ${last[1]}h0` : "");
      setAttribute(node, "data-flat", points.every(point => !point || point[1] === HEIGHT - EDGE));
    },
  };
}

/** Where each sample is; the newest at the right, nothing above the greatest. */
function places(samples, length) {
  const top = Math.max(...samples.map(value => value ?? 0), 0);
  const step = (WIDTH - 2 * EDGE) / Math.max(1, length - 1);
  return samples.map((value, at) => {
    if (value === null) return null;
    const x = WIDTH - EDGE - (samples.length - 1 - at) * step;
    const y = HEIGHT - EDGE - (top ? value / top : 0) * (HEIGHT - 2 * EDGE);
    return [round(x), round(y)];
  });
}

function path(points) {
  let isPen = false;
  return points.map(point => {
    const drawn = point ? `${isPen ? "L" : "M"}${point[0]} ${point[1]}${isPen ? "" : "h0"}` : "";
    isPen = point !== null;
    return drawn;
  }).join("");
}

function areas(points) {
  const runs = [[]];
  for (const point of points) {
    if (point) runs.at(-1).push(point);
    else if (runs.at(-1).length) runs.push([]);
  }
  return runs.filter(run => run.length > 1).map(run =>
    `M${run[0][0]} ${HEIGHT}${run.map(([x, y]) => `L${x} ${y}`).join("")}L${run.at(-1)[0]} ${HEIGHT}Z`).join("");
}

function round(value) {
  return Math.round(value * 10) / 10;
}

