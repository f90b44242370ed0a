"use strict";
// Pre-registrations with what came of them, decision records with their status, corrections.

const planText = value => value && typeof value === "object" && !Array.isArray(value)
  ? facts(Object.entries(value).map(([key, inner]) => [key, text(inner)])) : text(value);
const contrastRow = contrast => row(contrast.name, contrast.ours.join(", "),
  contrast.theirs.join(", "), contrast.expected);
function runLink(id) {
  const name = text(id).replace(/^evaluate\//, "");
  return link(reader([name]), name);
}
function outcomeCard(outcome) {
  const [word, ...missing] = text(outcome.outcome || outcome.status).split(": ");
  const plan = outcome.plan || {}, said = ["question", "expected", "runs", "contrasts"];
  return h("article", { class: "card", id: outcome.name },
    h("h3", {}, outcome.name, " ", badge(word)),
    h("p", {}, text(outcome.question || outcome.reason)),
    facts([
      ["missing", missing.join(": ")], ["expected", text(outcome.expected)],
      ["points, 95% interval", outcome.points],
      ["runs", spaced(Object.values(outcome.runs || {}).map(runLink))],
      ...Object.entries(plan).filter(([key]) => !said.includes(key))
        .map(([key, value]) => [key, key === "decision"
          ? link(`#${text(value)}`, text(value)) : planText(value)]),
    ]),
    Array.isArray(plan.contrasts) ? table(`Contrasts of ${outcome.name}`,
      ["contrast", "ours", "theirs", "expected"], plan.contrasts.map(contrastRow)) : null);
}
function decisionItem(record, names) {
  const body = record.text.split("\n").slice(1).join("\n");
  return h("details", { class: "item decision", id: record.number },
    h("summary", {}, h("span", { class: "family" }, record.number),
      h("span", { class: "snippet whole" }, record.title),
      h("span", { class: "verdicts" }, badge(record.status || "no status"))),
    h("div", { class: "inside prose" }, markdown(body, names)));
}
const correctionRow = entry => row(text(entry.supersedes), badge(text(entry.status)),
  text(entry.by), text(entry.utc).slice(0, 10), text(entry.why));

function chooser(items, statuses) {
  const input = h("input", { type: "search", autocomplete: "off" });
  const pick = select([["", "all"], ["accepted", "accepted"], ["superseded", "superseded"]], "");
  const count = h("output", { "aria-live": "polite" });
  const texts = items.map(item => item.textContent.toLowerCase());
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/);
    items.forEach((item, i) => {
      item.hidden = !words.every(word => texts[i].includes(word))
        || !statuses[i].startsWith(pick.value);
    });
    count.textContent = `${items.filter(item => !item.hidden).length} of ${items.length} decisions`;
  };
  input.oninput = pick.onchange = apply;
  apply();
  return h("div", { class: "controls" }, labelled("Filter decisions", input),
    labelled("Status", pick), count);
}
function arrive() {
  const target = byId(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  target.hidden = false;
  if (target.tagName === "DETAILS") target.open = true;
  target.scrollIntoView();
}
start(async () => {
  const { decisions, outcomes, corrections, runs } = await load("decisions");
  const names = new Set(runs);
  const items = decisions.map(record => decisionItem(record, names));
  byId("page").append(h("h2", {}, "Pre-registrations"),
    soft("Committed before the runs that they name. What came of each is computed from the runs."),
    ...outcomes.map(outcomeCard), h("h2", {}, "Decisions"),
    chooser(items, decisions.map(record => record.status)), ...items, h("h2", {}, "Corrections"),
    corrections.length ? table("Corrections of released records",
      ["what", "status", "by", "day", "why"], corrections.map(correctionRow)) : soft("None."));
  addEventListener("hashchange", arrive);
  arrive();
});
