"use strict";
// What s1 says beside what is found here; every number that a document prints: its value, the
// verdict on it, its runs, the decisions that rest on it.

const mainText = claim => claim.value && typeof claim.value.text === "string"
  ? claim.value.text : "";
function shown(claim) {
  const others = claim.printed.filter(form => form !== mainText(claim));
  return [h("b", {}, mainText(claim)), " ",
    h("span", { class: "soft" }, others.slice(0, 12).join(" | "),
      others.length > 12 ? ` and ${others.length - 12} more` : "")];
}
function runLink(id) {
  const [stage, name] = id.split("/");
  if (stage === "evaluate") return link(reader([name]), name);
  return stage === "train" ? link(`curves.html#${new URLSearchParams({ run: name })}`, name) : id;
}
const MANY = 6;    // runs of a claim that are shown before the rest is folded
function runLinks(ids) {
  const links = ids.map(runLink);
  if (links.length <= MANY) return spaced(links);
  return h("details", {}, h("summary", {}, `${links.length} runs`), spaced(links));
}
const decisionLinks = numbers => spaced(
  (numbers || []).map(number => link(`decisions.html#${number}`, number)));
const claimRow = claim => h("tr", { id: claim.id },
  h("th", { scope: "row" }, claim.id), h("td", {}, shown(claim)),
  h("td", {}, badge(claim.verdict)), h("td", {}, claim.estimator),
  h("td", {}, claim.families ? claim.families.join(", ") : "all"),
  h("td", {}, runLinks(claim.runs)), h("td", {}, decisionLinks(claim.decisions)));
// A verdict may go on after a semicolon, as that of a pre-registration.
function verdictOf(words) {
  const [first, ...more] = words.split("; ");
  return first === "-" ? first : [badge(first), more.length ? ` ${more.join("; ")}` : null];
}
const findingRow = finding => row(finding.name, finding.here, verdictOf(finding.verdict),
  finding.public, verdictOf(finding.public_verdict));
const checkLine = check => [h("p", {}, "Check ", h("code", {}, check.check), ": ",
  badge(check.result), ` ${check.looked_at}. It proves: ${check.proves}. It leaves open: `,
  `${check.leaves_open}.`),
check.problems.length ? h("ul", {}, check.problems.map(problem => h("li", {}, problem))) : null];

start(async () => {
  const [{ claims, estimators, checks, findings }, { tree }] =
    await Promise.all([load("claims"), load("tree")]);
  const rows = claims.map(claimRow);
  const texts = rows.map(element => element.textContent.toLowerCase());
  const input = h("input", { type: "search", autocomplete: "off" });
  const kinds = [...new Set(claims.map(claim => claim.estimator))].sort();
  const pick = select([["", "all"], ...kinds], "");
  const count = h("output", { "aria-live": "polite" });
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/);
    rows.forEach((element, i) => {
      element.hidden = !words.every(word => texts[i].includes(word))
        || Boolean(pick.value && claims[i].estimator !== pick.value);
    });
    const left = rows.filter(element => !element.hidden).length;
    count.textContent = `${left} of ${rows.length} claims`;
  };
  input.oninput = pick.onchange = apply;
  input.value = address().get("words") || "";
  apply();
  byId("page").append(
    h("p", {}, "The tree: ", h("b", { id: "head" }, tree), "."),
    ...(checks.length ? checks.flatMap(checkLine) : [soft("No check was made for these pages; ",
      h("code", {}, "make site"), " makes one.")]).filter(Boolean),
    h("h2", { id: "findings" }, "What s1 says, and the verdict here"),
    table("What s1 says, and the verdict here", ["s1 says", "families of programs", "verdict there",
      "GSM8K", "verdict there"], findings.map(findingRow), true),
    h("h2", { id: "numbers" }, "Every number that is printed"),
    h("div", { class: "controls" }, labelled("Filter claims", input),
      labelled("Estimator", pick), count),
    h("details", {}, h("summary", {}, "What the estimators are"),
      facts(Object.entries(estimators))),
    table("Claims", ["claim", "printed as", "verdict", "estimator", "families", "runs", "decisions"], rows,
      true));
});
