"use strict";
// Markdown as the records use it: headings, lists, tables, paragraphs, bold and code. Numbers of
// decisions and names of runs become links.

function linkedWord(word, names) {
  if (/^0\d{3}$/.test(word)) return link(`decisions.html#${word}`, word);
  if (names.has(`evaluate/${word}`)) return link(reader([word]), word);
  if (names.has(`train/${word}`))
    return link(`curves.html#${new URLSearchParams({ run: word })}`, word);
  return word;
}
const linked = (words, names) =>
  words.split(/(\w+(?:-\w+)+|\b0\d{3}\b)/).map(word => linkedWord(word, names));
const MARKED = /(`[^`]+`|\*\*[^*]+\*\*|\*[^*\s][^*]*\*)/;
const inline = (words, names) => words.split(MARKED).map((part, i) => {
  if (i % 2 === 0) return linked(part, names);
  if (part[0] === "`") return h("code", {}, linked(part.slice(1, -1), names));
  if (part[1] === "*") return h("b", {}, linked(part.slice(2, -2), names));
  return h("em", {}, linked(part.slice(1, -1), names));
});
const BLOCKS = /\n\s*\n|\n(?=#)|(?<=^#.*)\n/m, ITEM = /^\s*([-*]|\d+\.) /;
const markdown = (words, names) =>
  words.split(BLOCKS).filter(block => block.trim()).map(block => markdownBlock(block, names));
function markdownBlock(block, names) {
  const lines = block.split("\n").filter(line => line.trim());
  if (lines[0][0] === "#") return h("h3", {}, inline(block.replace(/^#+\s*/, ""), names));
  if (lines[0].trim()[0] === "|") return markdownTable(lines, names);
  if (lines[0].startsWith("```"))
    return h("pre", {}, lines.slice(1).filter(line => line !== "```").join("\n"));
  const first = lines.findIndex(line => ITEM.test(line));
  if (first < 0) return h("p", {}, inline(lines.join(" "), names));
  const items = lines.slice(first).join("\n").split(/\n(?=\s*(?:[-*]|\d+\.) )/);
  const plain = items.map(item => item.replace(ITEM, "").replace(/\s+/g, " "));
  const before = lines.slice(0, first);
  return [before.length ? h("p", {}, inline(before.join(" "), names)) : null,
    h("ul", {}, plain.map(item => h("li", {}, inline(item, names))))];
}
function markdownTable(lines, names) {
  const cells = line => line.replace(/^\s*\||\|\s*$/g, "").split("|")
    .map(cell => inline(cell.trim(), names));
  const rows = lines.slice(2).map(line => row(...cells(line)));
  return table("What was measured", cells(lines[0]), rows);
}
