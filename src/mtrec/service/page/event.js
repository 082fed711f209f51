// The form for an event: an item, the columns that events have, and labels that follow from none.

import { fill, find, make } from "./dom.js";
import { named } from "./show.js";

/** Whether a column holds yes and no. */
export const isBit = (about) => about.form === "bit" || (about.least === 0 && about.most === 1 && about.step === 1);

function field(id, about, text) {
  const label = make("label", { for: id }, text);
  if (isBit(about) || (about.choices?.length && about.form === "class")) {
    const values = isBit(about) ? [["1", "yes"], ["0", "no"]] : about.choices.map((one) => [one, one]);
    return make(
      "div", { class: "field" }, label,
      make("select", { id }, make("option", { value: "" }, "not said"),
        ...values.map(([value, shown]) => make("option", { value }, shown))),
    );
  }
  const input = make("input", { id, type: "number", step: about.step ?? "any", inputmode: "decimal" });
  if (about.step && about.least !== undefined) {
    input.min = about.least;
    input.max = about.most;
  }
  return make("div", { class: "field" }, label, input);
}

/** How a column is called in front of people, without its unit. */
export const column = (name, about) => named(about.logarithm ? name.replace(/^log_/, "") : name);

function caption(name, about) {
  const range = about.step && !isBit(about) ? `${about.least}–${about.most}` : "";
  const unit = [range, about.unit].filter(Boolean).join(" ");
  return column(name, about) + (unit ? ` (${unit})` : "");
}

/** Draw the fields of a domain's events. */
export function drawFields(page) {
  const fields = (part, prefix) => Object.entries(part).map(
    ([name, about]) => field(`${prefix}-${name}`, about, caption(name, about)),
  );
  fill(find("event-fields"), ...fields(page.values, "value"));
  fill(find("event-labels"), ...fields(page.labels, "label"));
  find("labels-box").hidden = !Object.keys(page.labels).length;
  find("labels-box").open = !Object.keys(page.values).length;
}

function read(id, about) {
  const given = find(id).value.trim();
  if (given === "") return undefined;
  if (about.form === "class") return given;
  const value = Number(given);
  return about.logarithm ? Math.log1p(value) : value;
}

function all(part, prefix) {
  const found = Object.entries(part).map(([name, about]) => [name, read(`${prefix}-${name}`, about)]);
  return Object.fromEntries(found.filter(([, value]) => value !== undefined));
}

/** The event as POST /events takes it. */
export function readEvent(page, user, item) {
  const labels = all(page.labels, "label");
  const values = all(page.values, "value");
  return {
    event_id: `page-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`,
    user_id: user,
    item_id: item,
    ...(Object.keys(values).length ? { values } : {}),
    ...(Object.keys(labels).length ? { labels } : {}),
  };
}
