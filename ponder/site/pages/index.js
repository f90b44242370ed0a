"use strict";
// The figures and tables of the results: a cell is a text or a list of parts, some of them links,
// and a point is a link.

const SHORT = 24;    // characters of a text that stays on one line
const kept = words => words.length < SHORT ? h("span", { class: "kept" }, words) : words;
const part = item => typeof item === "string" ? kept(item) : link(item.href, item.text);
const cell = content => typeof content === "string" ? kept(content) : content.map(part);
function section({ id, title, note, head, rows }) {
  const body = rows.map(([first, ...others]) => row(first, ...others.map(cell)));
  return h("section", { "aria-labelledby": id, class: "numbers" }, h("h2", { id }, title),
    note ? soft(note) : null, table(title, head, body, true));
}

function drawing(figure) {
  const box = h("div", { class: "plot" });
  const draw = () =>
    box.replaceChildren(linkedPoints(figure, Math.min(MOST_WIDE, Math.max(300, box.clientWidth))));
  addEventListener("resize", draw);
  return { box, draw };
}
function figureSection(figure, { box }) {
  const names = figure.curves.map(({ name }, number) => h("li", {}, swatch(number), name));
  return h("section", { "aria-labelledby": figure.id }, h("h2", { id: figure.id }, figure.title),
    soft("Accuracy with 95% interval. Solid: no forcing, and thinking cut at a cap; dashed: ",
      "\"Wait\" appended. A point opens its answers."),
    h("ul", { class: "legend" }, names), box);
}

function exampleLink(example) {
  if (!example) return null;
  const runs = example.answers.map(answer => answer.run);
  return h("p", {}, "The question of the README: ",
    link(reader(runs, { q: `${example.family}/${example.id}` }),
      `${example.family}, answered freely, cut, and after "Wait"`), ".");
}

start(async () => {
  const { tables, figures, example } = await load("results");
  const [first, ...others] = tables, drawings = figures.map(drawing);
  const sections = [
    ...(first ? [[first, section(first)]] : []),
    ...figures.map((figure, i) => [figure, figureSection(figure, drawings[i])]),
    ...others.map(found => [found, section(found)]),
  ];
  const contents = h("ul", { class: "contents" },
    sections.map(([found]) => h("li", {}, link(`#${found.id}`, found.title))));
  byId("page").append(h("nav", { "aria-label": "Figures and tables" }, contents),
    exampleLink(example) || "", ...sections.map(([, element]) => element));
  for (const { draw } of drawings) draw();
  if (!tables.length) say("paper/generated/results.json has no table; run make paper.");
  const target = byId(decodeURIComponent(location.hash.slice(1)));
  if (target) target.scrollIntoView();
});
