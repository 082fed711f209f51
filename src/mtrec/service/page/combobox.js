// A field with suggestions, as WAI-ARIA's pattern "combobox" has it: arrows, Enter, Escape.

import { fill, make } from "./dom.js";

const PAUSE = 120; // milliseconds without a key before suggestions are asked for

/**
 * Give a field suggestions.
 *
 * suggest: text -> promise of [{ value, title }]
 * chosen: called with { value, title } when one is chosen, or with { value } for what was typed
 */
export function combobox(input, suggest, chosen) {
  const list = make("ul", { id: `${input.id}-list`, role: "listbox", class: "options" });
  list.hidden = true;
  list.setAttribute("aria-label", "suggestions");
  const wrap = make("div", { class: "combobox" });
  input.replaceWith(wrap);
  wrap.append(input, list);
  for (const [name, value] of Object.entries({
    role: "combobox", autocomplete: "off", spellcheck: "false", "aria-autocomplete": "list",
    "aria-controls": list.id, "aria-expanded": "false",
  })) input.setAttribute(name, value);

  let options = [];
  let active = -1;
  let asked = 0;
  let timer;

  function close() {
    clearTimeout(timer);
    asked += 1;
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function mark(at) {
    list.children[active]?.setAttribute("aria-selected", "false");
    active = (at + options.length) % options.length;
    const option = list.children[active];
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", option.id);
  }

  function choose(option) {
    close();
    chosen(option);
  }

  async function open() {
    const mine = (asked += 1);
    const found = await suggest(input.value.trim()).catch(() => []);
    if (mine !== asked || document.activeElement !== input) return;
    options = found;
    fill(list, ...found.map((option, at) => make(
      "li",
      {
        id: `${list.id}-${at}`, role: "option", "aria-selected": "false",
        on: { pointerdown: (event) => { event.preventDefault(); choose(option); } },
      },
      make("span", {}, option.title ?? option.value),
      option.title ? make("span", { class: "id" }, option.value) : null,
    )));
    active = -1;
    list.hidden = !found.length;
    input.setAttribute("aria-expanded", String(found.length > 0));
    input.removeAttribute("aria-activedescendant");
  }

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(open, PAUSE);
  });
  input.addEventListener("focus", () => input.select());
  input.addEventListener("click", open);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", async (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) await open();
      if (options.length && !list.hidden) mark(active + (event.key === "ArrowDown" ? 1 : active < 0 ? 0 : -1));
    } else if (event.key === "Escape") {
      close();
    } else if (event.key === "Enter") {
      event.preventDefault();
      choose(active >= 0 && !list.hidden ? options[active] : { value: input.value.trim() });
    }
  });
  return { close };
}
