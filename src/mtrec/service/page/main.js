// The page: choose a user, see the list, tell what happened, see what changes.

import { ask, look, useKey } from "./api.js";
import { combobox } from "./combobox.js";
import { fill, find, make } from "./dom.js";
import { column, drawFields, isBit, readEvent } from "./event.js";
import { ASKED, draw, rankedBy, remember, SHOWN, summary } from "./list.js";
import { named, number, prediction, predictions } from "./show.js";

let page; // what /model says for pages: questions, event columns
let user = null; // id, or nobody
let item = null; // of the event that is being told: { value, title }
let current = null; // the list that is shown
let turn = 0; // of what was asked last: slower answers are not drawn

function trouble(error) {
  const box = find("trouble");
  box.hidden = !error;
  box.textContent = error ? error.message : "";
  if (error?.status === 401) askForKey();
}

function askForKey() {
  find("key-form").hidden = false;
  find("main").hidden = true;
  find("key").focus();
}

// -- who ---------------------------------------------------------------------------------------

async function choose(next) {
  user = next || null;
  find("user").value = user ?? "";
  await refresh({ compare: false });
}

function drawUser(predicted, answer) {
  const lines = Object.entries(predicted.user).flatMap(([name, said]) => {
    const question = page.questions[name] ?? {};
    return [
      make("h3", { class: "question" }, question.text ?? named(name)),
      make("dl", { class: "tasks alone" }, ...prediction(name, said, question)),
    ];
  });
  fill(find("of-user"), ...lines);
  const why = answer.fallback;
  find("stand-in").textContent = why ? `${named(why.used)}: ${why.why}.` : "Known since training.";
}

/** A value of an event, as it is told; nothing where it is missing, or a plain no. */
function told(name, value, about) {
  if (value === null) return "";
  if (isBit(about)) return value ? column(name, about) : "";
  const shown = number(about.logarithm ? Math.expm1(value) : value, about.unit);
  return about.unit ? shown : `${shown} ${column(name, about)}`;
}

function drawHistory(found) {
  const events = found?.events ?? [];
  find("past").hidden = !user;
  find("history-note").textContent = !found?.read ? "This model reads no histories."
    : events.length ? `The last ${events.length} events, of at most ${found.read} that the model reads.`
      : "Nothing yet.";
  fill(find("history"), ...events.map((event) => {
    const values = Object.entries(event.values).map(([name, value]) => told(name, value, page.values[name] ?? {}));
    return make(
      "li", {},
      make("span", {}, event.title ?? event.item_id ?? "an item that came after training"),
      make("span", { class: "quiet" }, [...values.filter(Boolean), event.timestamp.slice(0, 10)].join(" · ")),
    );
  }));
}

// -- list --------------------------------------------------------------------------------------

function weights() {
  const given = [...find("weights").querySelectorAll("input")].map((one) => [one.dataset.task, Number(one.value)]);
  const chosen = given.filter(([, weight]) => weight !== 0);
  return chosen.length ? { tasks: Object.fromEntries(chosen) } : {};
}

async function refresh({ compare }) {
  const mine = (turn += 1);
  const before = compare ? current : null;
  const named_ = user ? { user_id: user } : {};
  find("items").setAttribute("aria-busy", "true");
  try {
    const [answer, past] = await Promise.all([
      ask("recommend", { ...named_, k: ASKED, ...weights() }),
      user ? look("history", { user }) : null,
    ]);
    const shown = answer.items.slice(0, SHOWN).map((one) => one.item_id);
    const predicted = await ask("predict", { ...named_, item_ids: shown });
    if (mine !== turn) return;
    trouble(null);
    current = remember(answer, predicted);
    drawUser(predicted, answer);
    drawHistory(past);
    draw(current, before, page, { take, user: () => user });
    find("ranked-by").textContent = rankedBy(answer, page);
    find("change").textContent = before ? summary(current, before) : "";
    if (before) find("change").scrollIntoView({ block: "nearest" });
  } catch (error) {
    if (mine === turn) trouble(error);
  } finally {
    if (mine === turn) find("items").removeAttribute("aria-busy");
  }
}

function drawMeaning() {
  fill(find("meaning"), ...Object.entries(page.questions).flatMap(([name, question]) => {
    const range = question.form === "number" || question.form === "level"
      ? ` ${number(question.least)} to ${number(question.most, question.unit)}` : "";
    return [make("dt", {}, named(name)), make("dd", {}, question.text, make("span", { class: "quiet" }, range))];
  }));
}

function drawWeights(tasks) {
  const able = Object.entries(tasks).filter(([, task]) => task.ranks_items).map(([name]) => name);
  find("weights-box").hidden = able.length < 1;
  fill(find("weights"), ...able.map((name) => {
    const id = `weight-${name}`;
    const shown = make("output", { for: id, class: "number" }, "0");
    const input = make("input", { id, type: "range", min: -2, max: 2, step: 0.5, value: 0, "data-task": name });
    input.addEventListener("input", () => { shown.textContent = input.value; });
    input.addEventListener("change", () => refresh({ compare: true }));
    return make("div", { class: "field" }, make("label", { for: id, title: page.questions[name]?.text }, named(name), " ", shown), input);
  }));
}

// -- events ------------------------------------------------------------------------------------

function take(id, title) {
  item = { value: id, title };
  find("item").value = title ?? id;
  (find("event-fields").querySelector("input, select") ?? find("item")).focus();
}

async function tell(event) {
  event.preventDefault();
  const typed = find("item").value.trim();
  const chosen = item && typed === (item.title ?? item.value) ? item.value : typed;
  if (!chosen) {
    trouble(new Error("Choose the item that it happened with."));
    find("item").focus();
    return;
  }
  try {
    const who = user ?? `visitor-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
    const answer = await ask("events", { events: [readEvent(page, who, chosen)] });
    user = who;
    find("user").value = who;
    item = null;
    find("event").reset();
    await refresh({ compare: true });
    if (answer.late) find("change").textContent += " It is older than others of its user or item.";
  } catch (error) {
    trouble(error);
  }
}

// -- a text ------------------------------------------------------------------------------------

async function askOfText(event) {
  event.preventDefault();
  const box = find("text-answer");
  fill(box, make("p", { class: "quiet" }, "reading …"));
  try {
    const answer = await ask("predict", { ...(user ? { user_id: user } : {}), text: find("text").value });
    const lines = predictions(answer.text.tasks, page.questions);
    fill(box, make("dl", { class: "tasks" }, ...lines));
    trouble(null);
  } catch (error) {
    fill(box);
    trouble(error);
  }
}

// -- start -------------------------------------------------------------------------------------

async function start() {
  const [model, open] = await Promise.all([ask("model"), ask("openapi.json")]);
  page = { ...model.page, explains: "/explain" in open.paths };
  find("domain").textContent = named(model.domain);
  document.title = `${named(model.domain)} – mtrec`;
  const counted = [[model.users, "users"], [model.items, "items"]].filter(([count]) => count !== undefined);
  const about = counted.map(([count, what]) => `${count.toLocaleString("en")} ${what}`);
  if (model.as_of) about.push(`as of ${new Date(model.as_of).toISOString().slice(0, 10)}`);
  find("model").textContent = [`model ${model.version}`, ...about].join(" · ");
  find("key-form").hidden = true;
  find("main").hidden = false;
  find("text-panel").hidden = !page.reads_texts;
  drawFields(page);
  drawMeaning();
  drawWeights(model.tasks);
  await refresh({ compare: false });
}

find("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(find("key").value);
  find("key").value = "";
  trouble(null);
  start().then(() => find("user").focus()).catch(trouble);
});
find("nobody").addEventListener("click", () => choose(null));
find("event").addEventListener("submit", tell);
find("text-form").addEventListener("submit", askOfText);
find("history-box").open = matchMedia("(min-width: 60rem)").matches;
combobox(
  find("user"),
  async (text) => (await look("users", { prefix: text })).users.map((value) => ({ value })),
  (option) => choose(option.value),
);
combobox(
  find("item"),
  async (text) => (await look("items", { query: text })).items.map((one) => ({ value: one.item_id, title: one.title })),
  (option) => {
    item = option;
    find("item").value = option.title ?? option.value;
  },
);
start().catch(trouble);
