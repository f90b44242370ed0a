"use strict";
// The tables of the results: a cell is a text or a list of parts, some of them links.

const SHORT = 24;    // characters of a text that stays on one line
const kept = words => words.length < SHORT ? h("span", { class: "kept" }, words) : words;
const part = item => typeof item === "string" ? kept(item) : link(item.href, item.text);
const cell = content => typeof content === "string" ? kept(content) : content.map(part);
function section({ id, title, note, head, rows }) {
  const body = rows.map(([first, ...others]) => row(first, ...others.map(cell)));
  return h("section", { "aria-labelledby": id, class: "numbers" }, h("h2", { id }, title),
    note ? soft(note) : null, table(title, head, body, true));
}

function exampleLink(example) {
  if (!example) return null;
  const runs = example.answers.map(answer => answer.run);
  return h("p", {}, "The question of the README: ",
    link(reader(runs, { q: `${example.family}/${example.id}` }),
      `${example.family}, answered freely, cut, and after "Wait"`), ".");
}

start(async () => {
  const { tables, example } = await load("results");
  const contents = h("ul", { class: "contents" },
    tables.map(found => h("li", {}, link(`#${found.id}`, found.title))));
  byId("page").append(h("nav", { "aria-label": "Tables" }, contents), exampleLink(example) || "",
    ...tables.map(section));
  if (!tables.length) say("paper/generated/results.json has no table; run make paper.");
  const target = byId(decodeURIComponent(location.hash.slice(1)));
  if (target) target.scrollIntoView();
});
