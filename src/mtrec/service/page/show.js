// Predictions as bars with numbers.

import { make, spoken } from "./dom.js";

const per = new Intl.NumberFormat("en", { style: "percent", maximumSignificantDigits: 2 });
const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export const percent = (share) => share >= 0.995 ? "100 %" : per.format(share).replace("%", " %");

/** A number with its unit, which is in the plural. */
export function number(value, unit) {
  if (unit === "dollars") return `$${value.toFixed(2)}`;
  const shown = plain.format(value);
  return unit ? `${shown} ${shown === "1" ? unit.replace(/s$/, "") : unit}` : shown;
}

/** A label as it is named in the data, for people. */
export const named = (name) => name.replaceAll("_", " ");

/** A bar of a share between 0 and 1; the number beside it says the same. */
export function bar(share) {
  const inner = make("span", { class: "bar-inner" });
  inner.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
  return make("span", { class: "bar", "aria-hidden": "true" }, inner);
}

function line(term, share, text, note, title) {
  return make(
    "div", { class: "task", title },
    make("dt", {}, term),
    make("dd", {}, make("span", { class: "number" }, text), note),
    share === null ? null : make("dd", { class: "rail" }, bar(share)),
  );
}

/** How far a number is from what it was, in words and colour; nothing if it shows no change. */
function moved(now, before, unit) {
  if (before === undefined || before === null) return null;
  const [a, b] = unit === "%" ? [percent(now), percent(before)] : [number(now), number(before)];
  if (a === b) return null;
  const up = now > before;
  return make(
    "span", { class: up ? "up" : "down" }, up ? "▲" : "▼", spoken(up ? ", up" : ", down"), ` from ${b}`,
  );
}

/** What all tasks say, those with one number first. */
export function predictions(tasks, questions, before = {}) {
  const all = Object.entries(tasks).map(([name, said]) => [prediction(name, said, questions[name], before[name]), said.classes && said.value === undefined]);
  return [...all.filter(([, many]) => !many), ...all.filter(([, many]) => many)].flatMap(([lines]) => lines);
}

/**
 * What one task says, as lines of a description list.
 *
 * question: of the task, from /model; before: what it said before, if anything
 */
export function prediction(name, said, question = {}, before = undefined) {
  const title = question.text;
  if (said.value !== undefined && question.form !== "rank") {
    const { least = 0, most = 1, unit } = question;
    const share = (said.value - least) / (most - least || 1);
    return [line(named(name), share, number(said.value, unit), moved(said.value, before?.value), title)];
  }
  if (said.probability !== undefined) {
    const note = moved(said.probability, before?.probability, "%");
    const share = question.form === "rank" ? null : said.probability; // of so many, a bar is none
    return [line(named(name), share, percent(said.probability), note, title)];
  }
  if (said.classes) {
    const terms = said.classes.slice(0, 3).map(
      (one) => one.probability === undefined
        ? make("li", { class: "bare" }, one.name)
        : make("li", {}, bar(one.probability), make("span", {}, one.name), make("span", { class: "number" }, percent(one.probability))),
    );
    return [make("div", { class: "task classes", title }, make("dt", {}, named(name)), make("dd", {}, make("ul", {}, ...terms)))];
  }
  return said.value === undefined ? [] : [line(named(name), null, number(said.value), null, title)];
}
