"use strict";
// What every page is made of. Strings become text nodes and attributes, never markup.

// --- data: a file of data/ is a script that calls put(name, value)

const values = new Map();
const asked = new Map();
function put(name, value) { values.set(name, value); }
function load(name) {
  if (!asked.has(name)) asked.set(name, new Promise((done, failed) => {
    const element = document.createElement("script");
    element.src = `data/${encodeURIComponent(name)}.js`;
    element.onload = () => values.has(name)
      ? done(values.get(name)) : failed(new Error(`data/${name}.js holds something else`));
    element.onerror = () => failed(new Error(`data/${name}.js is not there; run make site again`));
    document.head.append(element);
  }));
  return asked.get(name);
}
const byId = id => document.getElementById(id);
function say(words) {
  byId("state").textContent = words;
  byId("state").hidden = !words;
}
// Runs what draws a page; what goes wrong is said on it.
async function start(draw) {
  try {
    load("tree").then(({ tree, date }) => {
      byId("tree").textContent = `Made of ${tree}, on ${date.slice(0, 16).replace("T", " ")} UTC. `
        + "These pages load nothing from a network.";
    });
    await draw();
    if (byId("state").textContent === "Loading.") say("");
  } catch (error) { say(`This page could not be drawn: ${error.message}`); }
}

// --- elements

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes))
    if (value != null && value !== false) element.setAttribute(name, value === true ? "" : value);
  element.append(...children.flat(9).filter(child => child != null && child !== false));
  return element;
}
const SVG = "http://www.w3.org/2000/svg";
const h = (tag, attributes = {}, ...children) =>
  filled(document.createElement(tag), attributes, children);
const s = (tag, attributes = {}, ...children) =>
  filled(document.createElementNS(SVG, tag), attributes, children);
const link = (href, ...words) => h("a", { href }, words);
const soft = (...children) => h("p", { class: "soft" }, children);
const TONES = {
  ok: ["right", "completed", "accepted", "met", "PASS", "same direction"],
  bad: ["wrong", "failed", "damaged", "not met", "FAIL", "opposite direction"],
  open: ["abandoned", "void", "not run", "NOT_RUN", "UNSUPPORTED"],
};
const tone = word => Object.keys(TONES).find(key => TONES[key].includes(word)) || "";
const badge = word => h("span", { class: `badge ${tone(word)}` }, word);
function button(words, act, attributes = {}) {
  const element = h("button", { type: "button", ...attributes }, words);
  element.onclick = act;
  return element;
}
// A table in a box that scrolls; the first cell of a row is its header. A caption that a heading
// says already is for screen readers alone.
function table(caption, head, rows, isSaid = false) {
  const titles = head.map(title => h("th", { scope: "col" }, title));
  return h("div", { class: "box", tabindex: 0, role: "region", "aria-label": caption },
    h("table", {}, h("caption", { class: isSaid ? "vh" : null }, caption),
      h("thead", {}, h("tr", {}, titles)), h("tbody", {}, rows)));
}
const row = (first, ...cells) => h("tr", {}, h("th", { scope: "row" }, first),
  cells.map(cell => h("td", {}, cell)));
function select(options, value) {
  const element = h("select", {}, options.map(option => Array.isArray(option)
    ? h("option", { value: option[0] }, option[1]) : h("option", { value: option }, option)));
  element.value = value;
  return element;
}
const labelled = (words, control) => h("label", {}, h("span", {}, words), control);
const facts = pairs => h("dl", {}, pairs
  .filter(([, value]) => value != null && value !== "" && value.length !== 0)
  .map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]));

// --- text

function text(value) {
  if (typeof value === "string") return value;
  if (value == null) return "none";
  return Array.isArray(value) ? value.map(text).join(", ") : JSON.stringify(value);
}
const nameOf = run => run.accuracy ? `${run.name}, ${run.accuracy}` : run.name;
const ended = status => status === "running" ? "abandoned" : text(status);
const spaced = items => items.flatMap((item, i) => i ? [", ", item] : [item]);
// What others wrote: characters that would not be seen, or would turn the text round, are named.
const UNSEEN = new RegExp("([\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u061c"
  + "\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff])");
const named = character =>
  `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
const seen = words => String(words).split(UNSEEN)
  .map((part, i) => i % 2 ? h("span", { class: "unseen" }, named(part)) : part);
// The beginning of a question; of a public benchmark, whose text is not ours to publish, its id.
const beginning = ({ id, question, gold }) =>
  question === gold ? `${id}, ${question}` : question.slice(0, 160);

// --- what the address says after its #: words=values, a word may come again

const address = () => new URLSearchParams(location.hash.slice(1));
let written = "";
function write(pairs) {
  const words = new URLSearchParams(pairs.filter(([, value]) => value));
  written = `#${String(words).replaceAll("%2F", "/")}`;
  if (location.hash !== written) location.replace(written);
}
// Runs what follows when a reader changes the address, not when the page did.
function arrived(act) {
  addEventListener("hashchange", () => { if (location.hash !== written) act(); });
}

// --- runs: by their name, with its hash or without

function runOf(runs, name) {
  const word = String(name).replace(/^evaluate\//, "");
  return runs.find(run => run.name === word)
    || runs.find(run => run.name.replace(/-[0-9a-f]{8}$/, "") === word);
}
// The address of the reader of answers, as in ponder/report/links.py.
const reader = (runs, words = {}) => {
  const pairs = [...runs.map(run => ["run", run]), ...Object.entries(words)];
  return `answers.html#${String(new URLSearchParams(pairs)).replaceAll("%2F", "/")}`;
};
