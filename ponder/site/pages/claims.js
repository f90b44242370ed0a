"use strict";
// Every number that a document prints: its value, its runs, the decisions that rest on it.

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
  h("th", { scope: "row" }, claim.id), h("td", {}, shown(claim)), h("td", {}, claim.estimator),
  h("td", {}, claim.families ? claim.families.join(", ") : "all"),
  h("td", {}, runLinks(claim.runs)), h("td", {}, decisionLinks(claim.decisions)));

start(async () => {
  const [{ claims, estimators }, { tree }] = await Promise.all([load("claims"), load("tree")]);
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
    h("p", {}, "The tree: ", h("b", { id: "head" }, tree), ". ", h("code", {}, "make audit"),
      " computes each of these again from the runs."),
    h("div", { class: "controls" }, labelled("Filter claims", input),
      labelled("Estimator", pick), count),
    h("details", {}, h("summary", {}, "What the estimators are"),
      facts(Object.entries(estimators))),
    table("Claims", ["claim", "printed as", "estimator", "families", "runs", "decisions"], rows,
      true));
});
