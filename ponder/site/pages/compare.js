"use strict";
// Two evaluations: answers gained and lost, what their configs and trainings differ in, and the
// curves of their trainings over one another.

let index;
const box = h("div", { class: "compared" });
const chosen = { a: "", b: "" };

const different = (one, other) => [...new Set([...Object.keys(one), ...Object.keys(other)])].sort()
  .filter(key => JSON.stringify(one[key]) !== JSON.stringify(other[key]));
const value = (config, key) => key in config ? text(config[key]) : "-";
function configTable(caption, one, other) {
  const keys = different(one, other), isShared = key => key in one && key in other;
  const shared = keys.filter(isShared), rest = keys.filter(key => !isShared(key));
  const draw = some => table(caption, ["key", "A", "B"],
    some.map(key => row(h("code", {}, key), value(one, key), value(other, key))));
  return [shared.length ? draw(shared) : soft(`${caption}: no key that both have.`),
    rest.length ? h("details", {}, h("summary", {}, `${rest.length} keys that only one of them has`,
      "; older runs lack newer keys"), draw(rest)) : null];
}
const curveLink = name => name
  ? link(`curves.html#${new URLSearchParams({ run: name })}`, name) : "no training";
function trainingTable(a, b) {
  const [one, other] = [a.training[0], b.training[0]];
  if (!one && !other) return null;
  if (one === other) return soft("Their weights are of one training: ", curveLink(one), ".");
  const config = name => index.trainings[name] || {};
  return [soft("Weights of A: ", curveLink(one), "; of B: ", curveLink(other), "."),
    one && other ? configTable("What the trainings differ in", config(one), config(other)) : null];
}
const curvePlot = stepPlot();
let overlaid = [];    // the curves that are drawn, a colour each
const drawCurves = () => { if (overlaid.length) curvePlot.draw(overlaid, 1, 9); };
function curvesPart(a, b, curves) {
  const names = [...new Set([a.training[0], b.training[0]])].filter(Boolean);
  overlaid = names.map(name => curves.find(curve => curve.name === name))
    .filter(curve => curve && curve.points && curve.points.length)
    .map((curve, number) => ({ ...curve, number }));
  if (!overlaid.length) return soft("Neither run is of a training that has a curve.");
  const words = new URLSearchParams(names.map(name => ["run", name]));
  return [soft("Loss, mean of 9 points; ", link(`curves.html#${words}`, "more in Curves"), "."),
    ...curvePlot.parts];
}
async function answersOf(run) {
  const numbers = [...Array(run.parts).keys()];
  const parts = await Promise.all(numbers.map(number => load(`run-${run.name}-${number}`)));
  const found = new Map();
  for (const answer of parts.flat()) if (!found.has(answer.q)) found.set(answer.q, answer);
  return found;
}
const sum = (items, of) => items.reduce((total, item) => total + of(item), 0);
function counts(a, b, pairs, family) {
  const those = pairs.filter(pair => !family || pair.question.task === family);
  const turned = (kind, test) => {
    const number = sum(those, pair => test(pair) ? 1 : 0);
    const words = { pattern: kind, ...(family ? { family } : {}) };
    return number ? link(reader([a.name, b.name], words), `${number}`) : "0";
  };
  return row(family || "all", String(those.length), String(sum(those, pair => +pair.one)),
    String(sum(those, pair => +pair.other)), turned("gained", pair => !pair.one && pair.other),
    turned("lost", pair => pair.one && !pair.other));
}
const questionLink = (a, b, { question }) => h("li", {}, link(
  reader([a.name, b.name], { q: `${question.task}/${question.id}` }), question.task), ": ",
h("span", {}, seen(beginning(question))));
const listed = (title, a, b, pairs) => h("details", {},
  h("summary", {}, `${title}: ${pairs.length}`),
  h("ul", {}, pairs.map(pair => questionLink(a, b, pair))));
async function outcome(a, b) {
  if (a.split !== b.split)
    return soft(`A was asked ${a.split} and B ${b.split}: no question is shared.`);
  const [questions, one, other] =
    await Promise.all([load(`split-${a.split}`), answersOf(a), answersOf(b)]);
  const pairs = questions.map((question, number) => ({ question, number }))
    .filter(({ number }) => one.has(number) && other.has(number))
    .map(pair => ({ ...pair, one: Boolean(one.get(pair.number).correct),
      other: Boolean(other.get(pair.number).correct) }));
  const families = [...new Set(pairs.map(pair => pair.question.task))].sort();
  return [
    table("Answers to the questions of both", ["family", "questions", "right in A", "right in B",
      "gained in B", "lost in B"], ["", ...families].map(family => counts(a, b, pairs, family))),
    listed("Gained in B", a, b, pairs.filter(pair => !pair.one && pair.other)),
    listed("Lost in B", a, b, pairs.filter(pair => pair.one && !pair.other)),
  ];
}
async function draw() {
  const a = runOf(index.runs, chosen.a), b = runOf(index.runs, chosen.b);
  const [answers, curves] = await Promise.all([outcome(a, b), load("curves")]);
  const parts = [h("h2", {}, "Answers"), answers,
    h("h2", {}, "Configs"), configTable("What configs and inputs differ in", a.config, b.config),
    trainingTable(a, b), h("h2", {}, "Curves of training"), curvesPart(a, b, curves)];
  box.replaceChildren(...parts.flat(9).filter(Boolean));
  drawCurves();
  say(`A is ${a.name}, B is ${b.name}.`);
}
function read() {
  const words = address(), found = key => runOf(index.runs, words.get(key) || "");
  const first = index.runs.find(run => run.parts);
  const usual = name => runOf(index.runs, name) || first;
  chosen.a = (found("a") || usual("cpu-trained-free-test")).name;
  chosen.b = (found("b") || usual("cpu-trained-wait1-test")).name;
}
const controls = h("div", { class: "controls" });
function drawControls() {
  const options = index.runs.filter(run => run.parts && run.config).map(run =>
    [run.name, nameOf(run)]);
  const pick = key => {
    const element = select(options, chosen[key]);
    element.onchange = () => change({ [key]: element.value });
    return labelled(`Run ${key.toUpperCase()}`, element);
  };
  controls.replaceChildren(pick("a"), pick("b"),
    button("Swap", () => change({ a: chosen.b, b: chosen.a })));
}
async function change(values) {
  Object.assign(chosen, values);
  write(Object.entries(chosen));
  drawControls();
  try { await draw(); } catch (error) { say(error.message); }
}
start(async () => {
  index = await load("runs");
  byId("page").append(controls, box);
  if (!index.runs.some(run => run.parts)) return say("No evaluation is released.");
  const arrive = () => { read(); drawControls(); return draw(); };
  addEventListener("resize", drawCurves);
  arrived(() => arrive().catch(error => say(error.message)));
  await arrive();
});
