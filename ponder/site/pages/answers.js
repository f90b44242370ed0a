"use strict";
// The reader of answers: the questions of a split as rows that open, the chosen runs as columns.

const MOST = 4;    // runs beside one another
const DEFAULT = ["cpu-trained-free-test", "cpu-trained-wait1-test"];
const PATTERNS = [
  ["", "any"], ["lost", "right in the first, wrong in the second"],
  ["gained", "wrong in the first, right in the second"], ["both", "right in both"],
  ["neither", "wrong in both"],
];
// Of the first run's answer; the words are those of links from the results.
const GRADES = [["", "right or wrong"], ["right", "right"], ["wrong", "wrong"],
  ["cut", "cut in its thinking"], ["unanswered", "without an answer"]];
const GRADED = {
  right: answer => answer.correct, wrong: answer => answer.correct === false,
  cut: answer => answer.capped, unanswered: answer => answer.answered === false,
};
const WITHOUT_ORIGINALS = "without originals";    // as in ponder/site/results.py

let index;               // what data/runs.js holds
let questions = [];      // of the split
let columns = [];        // of each chosen run: {run, of: {number of a question: its answers}}
const state = { split: "", runs: [], family: "", grade: "", pattern: "", words: "", q: "" };

// --- what is chosen

const withAnswers = () => index.runs.filter(run => run.parts > 0);
const ofSplit = split => withAnswers().filter(run => run.split === split);

function defaults(split) {
  const found = DEFAULT.map(name => runOf(ofSplit(split), name)).filter(Boolean);
  return (found.length ? found : ofSplit(split).slice(0, 2)).map(run => run.name);
}
function read() {
  const words = address();
  const named = words.getAll("run").map(name => runOf(withAnswers(), name)).filter(Boolean);
  const first = named[0] || runOf(withAnswers(), DEFAULT[0]) || withAnswers()[0];
  const split = named.length ? first.split : words.get("split") || first.split;
  state.split = ofSplit(split).length ? split : first.split;
  state.runs = named.map(run => run.name).slice(0, MOST);
  state.runs = state.runs.filter(name => runOf(ofSplit(state.split), name));
  if (!state.runs.length) state.runs = defaults(state.split);
  for (const key of ["family", "grade", "pattern", "words", "q"])
    state[key] = words.get(key) || "";
}
function remember() {
  write([...state.runs.map(name => ["run", name]),
    ...["family", "grade", "pattern", "words", "q"].map(key => [key, state[key]])]);
}
const fetchAll = () => Promise.all([load(`split-${state.split}`),
  Promise.all(state.runs.map(async name => {
    const run = runOf(index.runs, name), of = new Map();
    const numbers = [...Array(run.parts).keys()];
    const parts = await Promise.all(numbers.map(number => load(`run-${name}-${number}`)));
    for (const answer of parts.flat()) of.set(answer.q, [...(of.get(answer.q) || []), answer]);
    return { run, of };
  }))]);

// --- which questions are shown

const firstOf = (column, number) => (column.of.get(number) || [])[0] || {};
const isRight = (column, number) => firstOf(column, number).correct;
function isOfFamily(question) {
  if (state.family === WITHOUT_ORIGINALS) return !question.original;
  const group = Object.hasOwn(index.groups, state.family) ? index.groups[state.family] : [];
  return !state.family || question.task === state.family || group.includes(question.task);
}
function isOfPattern(number) {
  if (!state.pattern) return true;
  if (columns.length < 2) return false;
  const [first, second] = columns.map(column => isRight(column, number));
  if (first === undefined || second === undefined) return false;
  const pattern = first ? (second ? "both" : "lost") : (second ? "gained" : "neither");
  return pattern === state.pattern;
}
function isShown(question, number) {
  const isGraded = Object.hasOwn(GRADED, state.grade) ? GRADED[state.grade] : () => true;
  const words = state.words.toLowerCase().split(/\s+/);
  const said = `${question.task}/${question.id} ${question.question}`.toLowerCase();
  return columns.some(column => column.of.has(number)) && isOfFamily(question)
    && isGraded(firstOf(columns[0], number)) && isOfPattern(number)
    && words.every(word => said.includes(word));
}

// --- one answer

// [[text, forced]] of each line.
function linesOf(pieces) {
  const lines = [[]];
  for (const [words, forced] of pieces) words.split("\n").forEach((part, i) => {
    if (i) lines.push([]);
    if (part) lines[lines.length - 1].push([part, forced]);
  });
  while (lines.length > 1 && !lines[lines.length - 1].length) lines.pop();
  return lines;
}
const piece = ([words, forced]) => forced
  ? h("mark", { title: "forced, not chosen by the model" }, h("span", { class: "vh" }, "forced: "),
    seen(words))
  : h("span", {}, seen(words));
function wrongWords({ kind, step }, question, capped) {
  const due = question.steps[step - 1];
  return {
    value: ["First wrong step: the solver has ", h("code", {}, due)],
    step: ["First line that is not the solver's; due is ", h("code", {}, due)],
    extra: ["All steps were there; this is one more"],
    missing: [`${capped ? "Cut" : "It ends"} before step ${step} of ${question.steps.length}: `,
      h("code", {}, due)],
    right: [`All ${question.steps.length} steps are the solver's`],
  }[kind];
}
function thinking(answer, question) {
  const lines = linesOf(answer.thinking), wrong = answer.wrong;
  if (!answer.thinking.some(([words]) => words)) return soft("No thinking.");
  const items = lines.map((line, number) => {
    const here = wrong && wrong.line === number;
    const note = here ? h("div", { class: "note" }, wrongWords(wrong, question)) : null;
    return h("li", { class: here ? "first-wrong" : null }, line.map(piece), note);
  });
  const after = wrong && wrong.line === null
    ? h("p", { class: wrong.kind === "right" ? "soft" : "note" },
      wrongWords(wrong, question, answer.capped)) : null;
  // Lines of free text are no steps, and are not numbered.
  return [h("ol", { class: question.steps.length ? "said" : "said free" }, items), after];
}
function answerBlock(answer, question, count) {
  if (answer.status) return soft(`A damaged record: ${answer.reason}`);
  const ended = { length: "the cap ended its answer", stop: "its answer ended by itself" };
  const facts = [`${answer.tokens} thinking tokens`, answer.capped ? "thinking cut" : null,
    ended[answer.finish] || answer.finish, answer.marked ? null : "forced tokens not known"];
  return h("div", { class: "answer" },
    h("p", { class: "soft" }, badge(answer.correct ? "right" : "wrong"), " ",
      count > 1 ? `sample ${answer.sample}: ` : "", facts.filter(Boolean).join(", ")),
    h("h4", {}, "Thinking"), thinking(answer, question),
    h("h4", {}, "Answer"), h("div", { class: "said reply" },
      linesOf(answer.reply).map(line => h("div", {}, line.map(piece)))));
}
const column = ({ run, of }, question, number) => h("section", { class: "card" },
  h("h3", {}, run.name), question.steps.length && !run.in_steps
    ? soft("Not taught the solver's lines: no first wrong step is marked.") : null,
  (of.get(number) || []).map((answer, _, all) => answerBlock(answer, question, all.length)),
  of.has(number) ? null : soft("Not asked."));

// --- one question

const solverSteps = question => question.steps.length
  ? h("details", {}, h("summary", {}, `The solver's ${question.steps.length} steps`),
    h("ol", { class: "said" }, question.steps.map(line => h("li", {}, line))))
  : soft("No program says which steps are due: no first wrong step is marked.");
function inside(question, number) {
  return [
    h("blockquote", { class: "question" }, seen(question.question)),
    facts([["right answer", seen(question.gold)], ["family", question.task],
      ["id", question.id]]),
    solverSteps(question),
    h("div", { class: "columns" }, columns.map(each => column(each, question, number))),
    h("p", { class: "buttons" }, button("Previous question", event => neighbour(event, -1)),
      button("Next question", event => neighbour(event, 1))),
  ];
}
const verdicts = number => columns.map(each => {
  const given = each.of.get(number) || [], right = given.filter(answer => answer.correct).length;
  if (given.length > 1) return badge(`${right} of ${given.length} right`);
  return badge(given.length ? (right ? "right" : "wrong") : "not asked");
});
function item(question, number) {
  const key = `${question.task}/${question.id}`;
  const summary = h("summary", {}, h("span", { class: "family" }, question.task),
    h("span", { class: "snippet" }, seen(beginning(question))),
    h("span", { class: "verdicts" }, verdicts(number)));
  const element = h("details", { class: "item", "data-key": key }, summary);
  element.ontoggle = () => {
    if (!element.open) return;
    if (element.children.length === 1)
      element.append(h("div", { class: "inside" }, inside(question, number)));
    if (state.q !== key) { state.q = key; remember(); }
  };
  return element;
}
function neighbour(event, by) {
  const here = event.target.closest(".item");
  const next = by > 0 ? here.nextElementSibling : here.previousElementSibling;
  if (!next) return;
  here.open = false;
  show(next);
}
function show(element) {
  element.open = true;
  element.firstChild.focus({ preventScroll: true });
  element.scrollIntoView({ block: "start" });
}

// --- the page

const controls = h("form", { class: "controls", "aria-label": "What is shown" });
const runPicks = h("fieldset", { class: "controls" });
const count = h("output", { "aria-live": "polite" });
const list = h("div", { class: "items" });
controls.onsubmit = event => event.preventDefault();

async function changed(values) {
  Object.assign(state, values);
  remember();
  try { await draw(); } catch (error) { say(error.message); }
}
function drawControls() {
  const families = [...new Set(questions.map(question => question.task))].sort();
  const groups = Object.entries(index.groups)
    .filter(([, members]) => members.every(family => families.includes(family)));
  const pick = (words, key, options) => {
    const element = select(options, state[key]);
    element.onchange = () => changed({ [key]: element.value, q: "" });
    return labelled(words, element);
  };
  const splits = [...new Set(withAnswers().map(run => run.split))].sort();
  const splitPick = select(splits, state.split);
  splitPick.onchange = () => changed({
    split: splitPick.value, runs: defaults(splitPick.value), family: "", pattern: "", q: "" });
  const search = h("input", { type: "search", autocomplete: "off", value: state.words });
  search.onchange = () => changed({ words: search.value, q: "" });
  controls.replaceChildren(labelled("Split", splitPick),
    pick("Family", "family", [["", "all"], ...families,
      ...(questions.some(question => question.original) ? [WITHOUT_ORIGINALS] : []),
      ...groups.map(([name, members]) => [name, `${name} (${members.length} families)`])]),
    pick("First run is", "grade", GRADES), pick("First and second run", "pattern", PATTERNS),
    labelled("Words of the question", search));
  drawRuns();
}
function drawRuns() {
  const options = ofSplit(state.split).map(run =>
    [run.name, nameOf(run)]);
  const picks = state.runs.map((name, number) => {
    const element = select(options, name);
    element.onchange = () =>
      changed({ runs: state.runs.map((old, i) => i === number ? element.value : old) });
    return labelled(`Run ${number + 1}`, element);
  });
  const unused = options.map(([name]) => name).find(name => !state.runs.includes(name));
  const more = state.runs.length < MOST && unused
    ? button("Add a run", () => changed({ runs: [...state.runs, unused] })) : null;
  const fewer = state.runs.length > 1
    ? button("Remove the last", () => changed({ runs: state.runs.slice(0, -1) })) : null;
  const compared = state.runs.length > 1
    ? link(`compare.html#${new URLSearchParams({ a: state.runs[0], b: state.runs[1] })}`,
      "Compare their configs") : null;
  runPicks.replaceChildren(h("legend", {}, "Runs, a column each"), ...picks,
    h("span", { class: "buttons" }, more, fewer, compared));
}
let turn = 0;    // of drawing: what was asked for last is shown
async function draw() {
  const mine = ++turn, fetched = await fetchAll();
  if (mine !== turn) return;
  [questions, columns] = fetched;
  const wanted = questions.findIndex(each => `${each.task}/${each.id}` === state.q);
  // A link to a question shows it, whatever the filters of that link say.
  if (wanted >= 0 && !isShown(questions[wanted], wanted))
    Object.assign(state, { family: "", grade: "", pattern: "", words: "" });
  drawControls();
  const items = questions.map((question, number) => [question, number])
    .filter(pair => isShown(...pair)).map(pair => item(...pair));
  list.replaceChildren(...items);
  count.textContent = `${items.length} of ${questions.length} questions`;
  const isSampled = ({ of }) => [...of.values()].some(given => given.length > 1);
  if (columns.some(isSampled)) count.textContent += "; of several samples the first is filtered by";
  if (state.pattern && columns.length < 2) count.textContent += "; choose a second run";
  say(state.q && wanted < 0 ? `There is no question ${state.q} in ${state.split}.` : "");
  const target = items.find(element => element.dataset.key === state.q);
  if (target) show(target);
}
start(async () => {
  index = await load("runs");
  byId("page").append(runPicks, controls, h("p", {}, count),
    soft(h("mark", {}, "Marked and underlined"), ": tokens that were forced, not chosen by the "
      + "model. Where a program says the steps, the first line that is not its own is marked too."),
    h("h2", { class: "vh" }, "Questions"), list);
  if (!withAnswers().length) return say("No evaluation is released.");
  read();
  arrived(() => { read(); draw().catch(error => say(error.message)); });
  await draw();
});
