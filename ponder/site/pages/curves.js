"use strict";
// The curves of all trainings in one plot; a line under the pointer, or moved by arrow keys, reads
// their values.

const COLUMNS = [[1, "loss"], [2, "learning rate"], [3, "norm of the gradient"]];
const SPANS = [[1, "as logged"], [9, "mean of 9 points"], [25, "mean of 25 points"]];
const COLOURS = 8, DASHES = 2;    // of the lines: see .line-* of style.css
const LEFT = 56, TOP = 12;    // of the plot in its drawing, which is as wide as the page
const state = { column: 1, span: 9, shown: new Set(), step: null };
let curves = [];

const short = number => typeof number !== "number" ? "no number"
  : number && Math.abs(number) < .001 ? number.toExponential(1) : String(+number.toPrecision(3));
const kind = number => `line-${number % COLOURS} dash-${Math.floor(number / COLOURS) % DASHES}`;
// [[step, value]] of a curve, each the mean of its neighbours; null where it is no number itself.
function smoothed({ points }) {
  const half = Math.floor(state.span / 2), isNumber = value => typeof value === "number";
  return points.map((point, i) => {
    if (!isNumber(point[state.column])) return [point[0], null];
    const near = points.slice(Math.max(0, i - half), i + half + 1)
      .map(other => other[state.column]).filter(isNumber);
    return [point[0], near.reduce((a, b) => a + b) / near.length];
  });
}
function nearest(points, step) {
  return points.reduce((best, point) =>
    Math.abs(point[0] - step) < Math.abs(best[0] - step) ? point : best);
}

const plot = h("div", { class: "plot" });
const readout = h("div", { class: "readout" });
const told = h("p", { class: "vh", "aria-live": "polite" });

function draw() {
  const drawn = curves.map((curve, number) => ({ ...curve, number, values: smoothed(curve) }))
    .filter(curve => state.shown.has(curve.name));
  const numbers = drawn.flatMap(curve => curve.values.map(([, value]) => value))
    .filter(value => typeof value === "number");
  if (!numbers.length) {
    plot.replaceChildren(soft("Choose a training that has numbers."));
    return readout.replaceChildren();
  }
  const last = Math.max(...drawn.flatMap(curve => curve.values.map(([step]) => step)));
  const low = Math.min(0, ...numbers), high = Math.max(...numbers) || 1;
  const width = Math.min(1100, Math.max(300, plot.clientWidth)), height = width > 600 ? 420 : 280;
  const right = width - 12, bottom = height - 36;
  const x = step => LEFT + (right - LEFT) * step / last;
  const y = value => bottom - (bottom - TOP) * (value - low) / (high - low);
  const ticks = [0, .25, .5, .75, 1].map(share => low + share * (high - low));
  const label = `${COLUMNS.find(([key]) => key === state.column)[1]} by step of `
    + `${drawn.length} trainings`;
  const cursor = s("line", { class: "cursor", y1: TOP, y2: bottom, x1: -9, x2: -9 });
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0,
    "aria-label": `${label}; arrow keys read the values` },
  ticks.map(tick => [s("line", { class: "axis", x1: LEFT, x2: right, y1: y(tick), y2: y(tick) }),
    s("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, short(tick))]),
  [0, .25, .5, .75, 1].map(share => s("text", { x: x(share * last), y: bottom + 20,
    "text-anchor": share === 1 ? "end" : share ? "middle" : "start" },
  share ? String(Math.round(share * last)) : "step 0")),
  drawn.map(curve => pathsOf(curve, x, y)), cursor);
  const move = step => {
    state.step = Math.min(last, Math.max(1, Math.round(step)));
    cursor.setAttribute("x1", x(state.step));
    cursor.setAttribute("x2", x(state.step));
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
    move((state.step || 0) + by * (event.shiftKey ? 10 : 1));
    told.textContent = readout.textContent;
  };
  plot.replaceChildren(svg);
  move(state.step || last);
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
const swatch = number => s("svg", { class: "swatch", viewBox: "0 0 24 8", "aria-hidden": "true" },
  s("polyline", { class: `curve ${kind(number)}`, points: "0,4 24,4" }));
function tell(drawn) {
  readout.replaceChildren(h("b", {}, `Step ${state.step} `), h("ul", {}, drawn.map(curve => {
    const [step, value] = nearest(curve.values, state.step);
    const isOver = step < state.step - curve.steps / curve.points.length;
    return h("li", {}, swatch(curve.number), `${curve.name}: ${short(value)}`,
      isOver ? ` (its step ${step})` : null, " ");
  })));
}
function choice(curve, number) {
  const input = h("input", { type: "checkbox" });
  input.checked = state.shown.has(curve.name);
  input.onchange = () => {
    state.shown[input.checked ? "add" : "delete"](curve.name);
    remember();
    draw();
  };
  return h("label", { class: "check" }, input, swatch(number), curve.name,
    curve.status === "completed" ? null : badge(ended(curve.status)));
}
const remember = () => write([...state.shown].map(name => ["run", name]));
const ends = curve => {
  const { points, steps } = curve, tail = points[points.length - 1];
  return row(curve.name, badge(ended(curve.status)), String(steps), short(points[0][1]),
    short(tail[1]));
};
function read() {
  const names = address().getAll("run").map(name => name.replace(/^train\//, ""));
  const known = curves.map(curve => curve.name).filter(name => names.includes(name));
  const usual = curves.filter(curve => curve.status === "completed").map(curve => curve.name);
  state.shown = new Set(known.length ? known : usual.slice(0, 4));
}
start(async () => {
  const all = await load("curves");
  curves = all.filter(curve => curve.points && curve.points.length);
  const pick = (words, key, options) => {
    const element = select(options, state[key]);
    element.onchange = () => { state[key] = Number(element.value); draw(); };
    return labelled(words, element);
  };
  const choices = h("fieldset", { class: "checks" });
  const choose = some => {
    state.shown = new Set(some.map(curve => curve.name));
    remember();
    arrange();
  };
  const arrange = () => {
    choices.replaceChildren(h("legend", {}, "Trainings"), ...curves.map(choice),
      h("span", { class: "buttons" }, button("All", () => choose(curves)),
        button("None", () => choose([]))));
    draw();
  };
  const arrive = () => { read(); arrange(); };
  byId("page").append(h("div", { class: "controls" }, pick("Drawn", "column", COLUMNS),
    pick("Smoothed", "span", SPANS)), choices, plot, readout, told,
  table("First and last loss of every training",
    ["training", "status", "steps", "first loss", "last loss"], curves.map(ends)));
  for (const curve of all.filter(each => !curves.includes(each)))
    byId("page").append(soft(`${curve.name}: ${curve.reason || "no step was logged"}`));
  if (!curves.length) return say("No training is released.");
  addEventListener("resize", draw);
  arrived(arrive);
  arrive();
});
