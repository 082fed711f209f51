// The form for an event: an item, the columns that events have, and labels that follow from none.

import { fill, find, make } from "./dom.js";
import { named } from "./show.js";

function field(id, about, text) {
  const label = make("label", { for: id }, text);
  if (about.choices?.length && about.form !== "level") {
    const values = about.form === "bit" ? [["1", "yes"], ["0", "no"]] : about.choices.map((one) => [one, one]);
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

function caption(name, about) {
  const range = about.step ? `${about.least}–${about.most}` : "";
  const unit = [range, about.unit].filter(Boolean).join(" ");
  return named(name.replace(/^log_/, "")) + (unit ? ` (${unit})` : "");
}

/** Draw the fields of a domain's events. */
export function drawFields(page) {
  fill(
    find("event-fields"),
    ...Object.entries(page.values).map(([name, about]) => field(`value-${name}`, about, caption(name, about))),
    ...Object.entries(page.labels).map(([name, about]) => field(`label-${name}`, about, caption(name, about))),
  );
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
