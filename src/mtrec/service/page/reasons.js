// Why an item is in the list: what POST /explain says, where the service has it.

import { ask } from "./api.js";
import { fill, make } from "./dom.js";
import { named } from "./show.js";

const signed = new Intl.NumberFormat("en", { maximumSignificantDigits: 2, signDisplay: "always" });

/** A button that opens the reasons, and the box where they appear; asked is the request. */
export function reasons(asked, title, page) {
  const box = make("div", { class: "reasons" });
  box.hidden = true;
  const button = make("button", { type: "button", class: "quiet-button", "aria-expanded": "false" }, "Why?");
  button.setAttribute("aria-label", `Why ${title}?`);
  button.addEventListener("click", async () => {
    const open = box.hidden;
    button.setAttribute("aria-expanded", String(open));
    box.hidden = !open;
    if (!open || box.childElementCount) return;
    fill(box, make("p", { class: "quiet" }, "asking; the first time takes some seconds …"));
    try {
      fill(box, ...draw(await ask("explain", asked), asked.item, page));
    } catch (error) {
      fill(box, make("p", { class: "trouble" }, error.message));
    }
  });
  return { button, box };
}

function draw(answer, item, page) {
  const blocks = Object.entries(answer.tasks ?? {}).map(([name, one]) => make(
    "section", { class: "reason" },
    make("h4", {}, page.questions[name]?.text ?? named(name), one.of && one.of !== item ? ` ${one.of}` : null),
    one.sentence ? make("p", {}, one.sentence) : null,
    shares("What it rests on", one.groups, (part) => named(part.group)),
    shares("What he did", one.history, (part) => part.title ?? part.item),
    tokens(one.tokens),
  ));
  const like = (answer.similar?.items ?? []).slice(0, 5);
  if (like.length) {
    blocks.push(make("p", { class: "similar" }, `Most like it: ${like.map((one) => one.title ?? one.item).join(", ")}.`));
  }
  blocks.push(...(answer.notes ?? []).map((note) => make("p", { class: "quiet" }, note)));
  return blocks.length ? blocks : [make("p", { class: "quiet" }, "There is no reason to show.")];
}

/** Contributions as bars to the right (for) and to the left (against). */
function shares(caption, parts, name) {
  const shown = [...(parts ?? [])]
    .filter((part) => Number.isFinite(part.contribution))
    .sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution))
    .slice(0, 5);
  if (!shown.length) return null;
  const longest = Math.max(...shown.map((part) => Math.abs(part.contribution)), 1e-9);
  return make(
    "table", { class: "shares" },
    make("caption", {}, caption),
    make("tbody", {}, ...shown.map((part) => {
      const inner = make("span", { class: part.contribution < 0 ? "against" : "for" });
      inner.style.width = `${(50 * Math.abs(part.contribution)) / longest}%`;
      return make(
        "tr", {},
        make("th", { scope: "row" }, name(part)),
        make("td", { "aria-hidden": "true", class: "share" }, inner),
        make("td", { class: "number" }, signed.format(part.contribution)),
      );
    })),
  );
}

/** The words that a task read, the darker the more it looked at them. */
function tokens(found) {
  const shown = (found ?? []).filter((one) => Number.isFinite(one.weight));
  if (!shown.length) return null;
  const most = Math.max(...shown.map((one) => one.weight), 1e-9);
  return make("p", { class: "tokens" }, "Read: ", ...shown.map((one) => {
    const word = make("span", { class: "token", title: signed.format(one.weight) }, one.token);
    word.style.setProperty("--share", String(Math.round((60 * one.weight) / most)));
    return word;
  }));
}
