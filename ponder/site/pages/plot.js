"use strict";
// Plots: curves over one another by step, read by a line under the pointer or by arrow keys; points
// that are links.

const COLUMNS = [[1, "loss"], [2, "learning rate"], [3, "norm of the gradient"]];
const COLOURS = 8, DASHES = 2;    // of the lines: see .line-* of style.css
const LEFT = 56, TOP = 12, MOST_WIDE = 1100;    // of a drawing, which is as wide as its page

const short = number => typeof number !== "number" ? "no number"
  : number && Math.abs(number) < .001 ? number.toExponential(1) : String(+number.toPrecision(3));
const kind = number => `line-${number % COLOURS} dash-${Math.floor(number / COLOURS) % DASHES}`;
const swatch = number => s("svg", { class: "swatch", viewBox: "0 0 24 8", "aria-hidden": "true" },
  s("polyline", { class: `curve ${kind(number)}`, points: "0,4 24,4" }));
// Round numbers between two, at most about `most`.
function ticks(low, high, most) {
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const by = [1, 2, 5, 10].map(factor => factor * power).find(size => size >= rough);
  const first = Math.ceil(low / by), last = Math.floor(high / by + 1e-9);
  return [...Array(Math.max(0, last - first) + 1).keys()].map(i => (first + i) * by);
}
const level = (y, left, right, words) => [
  s("line", { class: "axis", x1: left, x2: right, y1: y, y2: y }),
  s("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, words)];

// --- curves by step

// [[step, value]] of a curve, each the mean of its neighbours; null where it is no number itself.
function smoothed({ points }, column, span) {
  const half = Math.floor(span / 2), isNumber = value => typeof value === "number";
  return points.map((point, i) => {
    if (!isNumber(point[column])) return [point[0], null];
    const near = points.slice(Math.max(0, i - half), i + half + 1)
      .map(other => other[column]).filter(isNumber);
    return [point[0], near.reduce((a, b) => a + b) / near.length];
  });
}
function nearest(points, step) {
  return points.reduce((best, point) =>
    Math.abs(point[0] - step) < Math.abs(best[0] - step) ? point : best);
}
function pathsOf(curve, x, y) {
  const lines = [[]];    // a gap where there is no number
  for (const [step, value] of curve.values) {
    if (value === null) lines.push([]);
    else lines[lines.length - 1].push(`${x(step).toFixed(1)},${y(value).toFixed(1)}`);
  }
  return lines.filter(line => line.length).map(line =>
    s("polyline", { class: `curve ${kind(curve.number)}`, points: line.join(" ") }));
}
// {parts: what goes onto a page, draw(curves, column, span)}; the number of a curve is its colour.
function stepPlot() {
  const plot = h("div", { class: "plot" }), readout = h("div", { class: "readout" });
  const told = h("p", { class: "vh", "aria-live": "polite" });
  let here = null;    // the step that is read
  function tell(drawn) {
    readout.replaceChildren(h("b", {}, `Step ${here} `), h("ul", {}, drawn.map(curve => {
      const [step, value] = nearest(curve.values, here);
      const isOver = step < here - curve.steps / curve.points.length;
      return h("li", {}, swatch(curve.number), `${curve.name}: ${short(value)}`,
        isOver ? ` (its step ${step})` : null, " ");
    })));
  }
  function draw(curves, column, span) {
    const drawn = curves.map(curve => ({ ...curve, values: smoothed(curve, column, span) }));
    const numbers = drawn.flatMap(curve => curve.values.map(([, value]) => value))
      .filter(value => typeof value === "number");
    if (!numbers.length) {
      plot.replaceChildren(soft("Choose a training that has numbers."));
      return readout.replaceChildren();
    }
    const last = Math.max(...drawn.flatMap(curve => curve.values.map(([step]) => step)));
    const low = Math.min(0, ...numbers), high = Math.max(...numbers) || 1;
    const width = Math.min(MOST_WIDE, Math.max(300, plot.clientWidth));
    const height = width > 600 ? 420 : 280, right = width - 12, bottom = height - 36;
    const x = step => LEFT + (right - LEFT) * step / last;
    const y = value => bottom - (bottom - TOP) * (value - low) / (high - low);
    const label = `${COLUMNS.find(([key]) => key === column)[1]} by step of `
      + `${drawn.length} ${drawn.length === 1 ? "training" : "trainings"}`;
    const cursor = s("line", { class: "cursor", y1: TOP, y2: bottom, x1: -9, x2: -9 });
    const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0,
      "aria-label": `${label}; arrow keys read the values` },
    ticks(low, high, 5).map(tick => level(y(tick), LEFT, right, short(tick))),
    ticks(0, last, 5).map(tick => s("text", { x: x(tick), y: bottom + 20,
      "text-anchor": tick ? "middle" : "start" }, tick ? String(tick) : "step 0")),
    drawn.map(curve => pathsOf(curve, x, y)), cursor);
    const move = step => {
      here = Math.min(last, Math.max(1, Math.round(step)));
      cursor.setAttribute("x1", x(here));
      cursor.setAttribute("x2", x(here));
      tell(drawn);
    };
    svg.onpointermove = event => {
      const place = svg.getBoundingClientRect();
      const across = (event.clientX - place.left) / place.width * width;
      move((across - LEFT) / (right - LEFT) * last);
    };
    svg.onkeydown = event => {
      const by = { ArrowRight: 1, ArrowLeft: -1, PageUp: 50, PageDown: -50 }[event.key];
      if (!by) return;
      event.preventDefault();
      move((here || 0) + by * (event.shiftKey ? 10 : 1));
      told.textContent = readout.textContent;
    };
    plot.replaceChildren(svg);
    move(here || last);
  }
  return { parts: [plot, readout, told], draw };
}

// --- accuracy against thinking tokens

const MARK = 5, REACH = 12;    // pixels: of a point as it is seen, and as it is clicked
function pointLink(point, number, x, y, name) {
  const place = { cx: x(point.x).toFixed(1), cy: y(point.y).toFixed(1) };
  return s("a", { href: point.href, "aria-label": `${name}, ${point.words}` },
    s("title", {}, `${name}, ${point.words}`),
    s("line", { class: `bar ${kind(number)}`, x1: place.cx, x2: place.cx,
      y1: y(point.low).toFixed(1), y2: y(point.high).toFixed(1) }),
    s("circle", { class: "reach", r: REACH, ...place }),
    s("circle", { class: `point ${kind(number)}`, r: MARK, ...place }));
}
function linkedPoints({ title, curves }, width) {
  const points = curves.flatMap(({ cuts, waits }) => [...cuts, ...waits]);
  const most = Math.max(1, ...points.map(point => point.x));
  const top = Math.ceil(10 * Math.max(...points.map(point => point.high))) / 10;
  const height = width > 600 ? 380 : 300, right = width - 20, bottom = height - 44;
  const x = value => LEFT + (right - LEFT) * value / most;
  const y = value => bottom - (bottom - TOP) * value / top;
  const line = (some, number, more) => some.length > 1 ? s("polyline", {
    class: `curve line-${number % COLOURS} ${more}`,
    points: some.map(point => `${x(point.x).toFixed(1)},${y(point.y).toFixed(1)}`).join(" "),
  }) : null;
  return s("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": title },
    ticks(0, top, 5).map(tick => level(y(tick), LEFT, right, `${Math.round(100 * tick)}%`)),
    ticks(0, most, 6).map(tick => s("text", { x: x(tick), y: bottom + 18,
      "text-anchor": "middle" }, short(tick))),
    s("text", { x: (LEFT + right) / 2, y: height - 6, "text-anchor": "middle" },
      "mean thinking tokens"),
    curves.map(({ cuts, waits }, number) =>
      [line(cuts, number, "dash-0"), line(waits, number, "dash-1")]),
    curves.map(({ name, cuts, waits }, number) =>
      [...cuts, ...waits.slice(1)].map(point => pointLink(point, number, x, y, name))));
}
