// The list of items: what it holds, and how it differs from the one before.

import { fill, find, make, spoken } from "./dom.js";
import { named, predictions } from "./show.js";
import { reasons } from "./reasons.js";

export const SHOWN = 10;
export const ASKED = 100; // that changes of place can be told of

/** How an item moved: its place before, by id, in words, sign and class. */
function movement(item, place, before) {
  if (!before) return null;
  const was = before.places.get(item);
  if (was === undefined) return make("span", { class: "move up" }, "new", spoken(" in the list"));
  const by = was - place;
  if (by === 0) return make("span", { class: "move same" }, "=", spoken(" same place"));
  const places = `${Math.abs(by)} ${Math.abs(by) === 1 ? "place" : "places"}`;
  return make(
    "span", { class: `move ${by > 0 ? "up" : "down"}` }, `${by > 0 ? "▲" : "▼"} ${Math.abs(by)}`,
    spoken(by > 0 ? `: up ${places}` : `: down ${places}`),
  );
}

/** One sentence of what an event changed in the list. */
export function summary(now, before) {
  const shown = now.items.slice(0, SHOWN);
  const counts = { up: 0, down: 0, same: 0 };
  shown.forEach((item, at) => {
    const was = before.places.get(item.item_id) ?? Infinity;
    counts[was > at ? "up" : was < at ? "down" : "same"] += 1;
  });
  const left = before.items.slice(0, SHOWN).filter((item) => !now.places.has(item.item_id));
  const gone = left.map((item) => before.titles.get(item.item_id) ?? item.item_id);
  const told = counts.same === shown.length ? "Every item is where it was"
    : `${counts.up} up, ${counts.down} down, ${counts.same} in the same place`;
  return `${told}${gone.length ? `; no longer in the list: ${gone.join(", ")}` : ""}.`;
}

/** A list, as it is compared with the next one. */
export function remember(answer, predicted) {
  return {
    items: answer.items,
    places: new Map(answer.items.map((item, at) => [item.item_id, at])),
    titles: new Map(predicted.items.map((item) => [item.item_id, item.title])),
    tasks: new Map(predicted.items.map((item) => [item.item_id, item.tasks])),
  };
}

/** Draw the list. */
export function draw(now, before, page, act) {
  const rows = now.items.slice(0, SHOWN).map(({ item_id: item }, at) => {
    const title = now.titles.get(item);
    const said = now.tasks.get(item) ?? {};
    const lines = predictions(said, page.questions, before?.tasks.get(item));
    const asked = { user: act.user() ?? undefined, item, tasks: Object.keys(said) };
    const why = page.explains ? reasons(asked, title ?? item, page) : null;
    return make(
      "li", { class: "item", "data-item": item },
      make(
        "div", { class: "head" },
        make("span", { class: "place", "aria-hidden": "true" }, String(at + 1)),
        make(
          "div", { class: "name" },
          make("h3", {}, title ?? item), " ",
          title ? make("span", { class: "id" }, item) : null, " ",
          movement(item, at, before),
        ),
      ),
      make("dl", { class: "tasks" }, ...lines),
      make(
        "div", { class: "acts" },
        why?.button,
        make("button", { type: "button", class: "quiet-button", on: { click: () => act.take(item, title) } },
          "It happened", spoken(`: ${title ?? item}`)),
      ),
      why?.box,
    );
  });
  fill(find("items"), ...rows);
}

/** How the list was made, in a sentence. */
export function rankedBy(answer, page) {
  const by = Object.entries(answer.ranked_by).map(([name, weight]) => {
    const text = page.questions[name]?.text ?? named(name);
    return weight === 1 ? `“${text}”` : `“${text}” × ${weight}`;
  });
  const notes = answer.notes.map((note) => `${note[0].toUpperCase()}${note.slice(1)}.`);
  return [`Ranked by ${by.join(" and ")}.`, ...notes].join(" ");
}
