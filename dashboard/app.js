// The page reads the same JSON as `sinter --json`: sweeps, then the trials of
// one. The address holds the view: #s-7f3a91 is a sweep.
"use strict";

const REFRESH_MS = 1000;
const PAGE = 1000;
const ROWS = 500; // a longer table is slow to draw; `sinter trials` has all
const view = document.getElementById("view");
let sort = { key: null, down: true };
let shown = null; // the sweep on the page; see openSweep()

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function number(value) {
  if (typeof value !== "number") return value === undefined || value === null ? "" : String(value);
  return String(Number(value.toPrecision(5)));
}

// Drawn once: it must not be taken away from under somebody's fingers.
function askToken() {
  if (document.getElementById("token")) return;
  shown = null;
  const input = element("input", { id: "token", type: "password", autocomplete: "off" });
  const keep = (event) => {
    event.preventDefault();
    sessionStorage.setItem("token", input.value.trim());
    input.remove();
    refresh();
  };
  view.replaceChildren(element("form", { onsubmit: keep },
    element("label", { for: "token" }, "A token of --http-token-file: "), input, element("button", {}, "Show")));
}

async function get(path) {
  const headers = { Accept: "application/json" };
  const token = sessionStorage.getItem("token");
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(path, { headers });
  if (answer.status === 401) {
    askToken();
    throw new Error("it wants a token");
  }
  if (!answer.ok) throw new Error((await answer.text()) || answer.statusText);
  return answer.json();
}

async function allTrials(id) {
  const trials = [];
  for (let from = 0; from !== null; ) {
    const page = await get(`/api/v1/sweeps/${id}/trials?from=${from}&limit=${PAGE}`);
    trials.push(...page.trials);
    from = page.next;
  }
  return trials;
}

// The mean of a point over its replicates, and the best of them.
function bestText(best) {
  const error = best.error > 0 ? ` ± ${best.error.toPrecision(2)}` : "";
  return `${number(best.value)}${error} (#${best.trial})`;
}

function stateText(s) {
  const state = s.state === "running" && s.paused ? "paused" : s.state;
  return s.reason ? `${state}: ${s.reason}` : state;
}

function trialsText(s) {
  return ["done", "running", "waiting", "failed", "cancelled"]
    .filter((name, i) => i < 1 || s[name] > 0).map((name) => `${s[name]} ${name}`).join(", ");
}

function sweepRow(s) {
  const best = s.best ? bestText(s.best) : "";
  return element("tr", { class: s.state },
    element("td", {}, element("a", { href: `#${s.id}` }, s.name || s.id)),
    element("td", {}, s.state === "running" && s.paused ? "paused" : s.state),
    element("td", {}, element("progress", { value: s.done + s.failed, max: Math.max(s.trials, 1) }),
      ` ${s.done + s.failed}/${s.trials}`),
    element("td", { class: "number" }, String(s.failed)),
    element("td", { class: "number" }, best));
}

function showSweeps(sweeps) {
  if (sweeps.length === 0) {
    view.replaceChildren(element("p", {}, "No sweeps yet. Send one: ",
      element("code", {}, "sinter submit examples/quickstart.yaml")));
    return;
  }
  const head = element("tr", {}, ...["sweep", "state", "trials", "failed", "best"].map((name, i) =>
    element("th", { class: i > 2 ? "number" : null }, name)));
  view.replaceChildren(element("table", {}, element("thead", {}, head),
    element("tbody", {}, ...sweeps.map(sweepRow))));
}

// Columns in which the trials differ, the objective's first among the measured.
function columnsOf(trials, objective) {
  const seen = new Map();
  for (const t of trials) {
    for (const part of ["values", "metrics"]) {
      for (const [key, value] of Object.entries(t[part] || {})) {
        const name = `${part}/${key}`;
        if (!seen.has(name)) seen.set(name, { column: [part, key], values: new Set() });
        seen.get(name).values.add(JSON.stringify(value));
      }
    }
  }
  const rank = (c) => (c[0] === "values" ? 0 : c[1] === objective ? 1 : 2);
  return [...seen.values()]
    .filter((s) => s.values.size > 1 || s.column[1] === objective)
    .map((s) => s.column)
    .sort((a, b) => rank(a) - rank(b));
}

function cell(trial, column) {
  return (trial[column[0]] || {})[column[1]];
}

function sorted(trials, columns) {
  const column = columns.find((c) => c[1] === sort.key);
  if (!column) return trials;
  const sign = sort.down ? -1 : 1;
  const order = (a, b) => (a === b ? 0 : a === undefined ? 1 : b === undefined ? -1 : a < b ? -sign : sign);
  return [...trials].sort((a, b) => order(cell(a, column), cell(b, column))); // those without it last
}

function showSweep(status, trials) {
  if (sort.key === null && status.objective) {
    sort = { key: status.objective.metric, down: status.objective.goal === "maximize" };
  }
  const columns = columnsOf(trials, status.objective ? status.objective.metric : null);
  const heads = columns.map((c) => element("th", { class: "number" }, element("button", {
    onclick: () => { sort = { key: c[1], down: sort.key === c[1] ? !sort.down : true }; showSweep(status, trials); },
  }, c[1] + (sort.key === c[1] ? (sort.down ? " ▼" : " ▲") : ""))));
  const rows = sorted(trials, columns).slice(0, ROWS).map((t) => element("tr", { class: t.state },
    element("td", {}, `#${t.trial}`),
    element("td", {}, t.failure ? `failed: ${t.failure.message}` : t.state),
    ...columns.map((c) => element("td", { class: "number" }, number(cell(t, c))))));
  const facts = [["state", stateText(status)], ["trials", trialsText(status)],
    ["jobs", `${status.jobs.computed} computed, ${status.jobs.known} already known`],
    ["best", status.best ? bestText(status.best) : "none yet"]];
  if (status.first_failure) facts.push(["failure", `#${status.first_failure.trial}: ${status.first_failure.message}`]);
  if (status.obstacle) facts.push(["waits", status.obstacle]);
  if (status.store_error) facts.push(["store", status.store_error]);
  if (trials.length > ROWS) facts.push(["table", `the first ${ROWS} of ${trials.length} trials; all: sinter trials ${status.id}`]);
  shown.facts.replaceChildren(
    ...facts.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]));
  shown.table.replaceChildren(element("table", {},
    element("thead", {}, element("tr", {}, element("th", {}, "trial"), element("th", {}, "state"), ...heads)),
    element("tbody", {}, ...rows)));
}

// What stays on the page while the sweep goes on.
async function openSweep(id) {
  const spec = await get(`/api/v1/sweeps/${encodeURIComponent(id)}/spec`);
  return { id, key: null, trials: null, facts: element("dl", {}), table: element("div", { class: "wide" }),
    phase: spec.report && spec.report.phase ? phaseView(id, spec) : null };
}

async function refreshSweep(id) {
  const status = await get(`/api/v1/sweeps/${encodeURIComponent(id)}`);
  const key = JSON.stringify([id, status.state, status.done, status.failed, status.running, status.cancelled]);
  const page = shown || await openSweep(id);
  const same = page.key === key;
  if (same && status.state !== "running") return; // nothing new: leave what may be selected
  const trials = same ? page.trials : await allTrials(status.id);
  if (current() !== id) return; // somebody went on meanwhile
  if (page !== shown) {
    shown = page;
    view.replaceChildren(page.facts, ...(page.phase ? [page.phase.node] : []), page.table);
  }
  page.name = status.name;
  page.id = status.id;
  page.key = key;
  page.trials = trials;
  showSweep(status, trials);
  if (page.phase && !same) page.phase.update(trials);
}

function current() {
  return decodeURIComponent(location.hash.slice(1).split("?")[0]);
}

// Where one is: the sweep's name once it is known.
function showPlace(id) {
  document.getElementById("crumb").textContent = shown ? `${shown.name} ${shown.id}`.trim() : id;
  document.title = shown && shown.name ? `${shown.name} - sinter` : "sinter";
}

async function refresh() {
  const id = current();
  const state = document.getElementById("state");
  try {
    showPlace(id);
    if (id !== "") await refreshSweep(id);
    else {
      const { sweeps } = await get("/api/v1/sweeps");
      if (current() === "") showSweeps(sweeps.filter((s) => !s.hidden));
    }
    showPlace(current());
    state.textContent = "";
  } catch (error) {
    state.textContent = `no answer: ${error.message}`;
  }
}

// One after the other: a slow answer must not pile up requests.
async function keepFresh() {
  if (!document.hidden) await refresh();
  setTimeout(keepFresh, REFRESH_MS);
}

window.addEventListener("hashchange", () => {
  sort = { key: null, down: true };
  shown = null;
  refresh();
});
keepFresh();
