"use strict";
// The curves of all trainings in one plot.

const SPANS = [[1, "as logged"], [9, "mean of 9 points"], [25, "mean of 25 points"]];
const MAIN = ["cpu", "qwen", "qwen-answers", "qwen-random"];    // shown at first
const state = { column: 1, span: 9, shown: new Set() };
let curves = [];

const plot = stepPlot();
const draw = () => plot.draw(curves.map((curve, number) => ({ ...curve, number }))
  .filter(curve => state.shown.has(curve.name)), state.column, state.span);
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
  const usual = MAIN.map(name => runOf(curves, name)).filter(Boolean).map(curve => curve.name);
  const first = usual.length ? usual : curves.slice(0, 4).map(curve => curve.name);
  state.shown = new Set(known.length ? known : first);
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
    pick("Smoothed", "span", SPANS)), choices, ...plot.parts,
  table("First and last loss of every training",
    ["training", "status", "steps", "first loss", "last loss"], curves.map(ends)));
  for (const curve of all.filter(each => !curves.includes(each)))
    byId("page").append(soft(`${curve.name}: ${curve.reason || "no step was logged"}`));
  if (!curves.length) return say("No training is released.");
  addEventListener("resize", draw);
  arrived(arrive);
  arrive();
});
