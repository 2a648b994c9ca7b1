// The map over temperature and load (`report.phase`): what cli/phase.c says of
// the same trials, drawn as cli/phase_draw.c does, with limits that can be
// moved. The address holds limits that are not the file's:
// #s-7f3a91?lmc=0.1&cka=0.97
"use strict";

const PHASE_MAPS = ["error", "lmc", "cka"];
const PHASE_SIDE = 200; // most values of an axis
const VIRIDIS = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141],
  [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];
const REGIMES = { "I": "raise", "II-A": "lower", "II-B": "keep" };

// ---- numbers

// Mean, standard error and how many values stand behind it; of comparisons of
// `replicates` the error that shared replicates leave (common/estimate.h).
function estimateOf(values, replicates) {
  const n = replicates === 2 && values.length > 1 ? 1 : values.length;
  if (n === 0) return { count: 0 };
  const used = values.slice(0, n);
  const mean = used.reduce((sum, x) => sum + x / n, 0);
  const squares = used.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  let error = n > 1 && Math.sqrt(squares) > 1e-14 * Math.abs(mean) ? Math.sqrt(squares / (n - 1) / n) : 0;
  if (replicates > 0 && n > 2) error *= Math.sqrt((2 * (n - 1)) / (n - 2));
  else if (replicates > 0 && n === 2) error *= Math.sqrt(3);
  return { mean, error, count: n };
}

// How many replicates a metric compares, also through a formula; else 0.
function pairsOf(spec, metric) {
  const pairs = new Set();
  for (const e of spec.evaluate || []) {
    const names = [...pairs].some((name) => new RegExp(`(^|[^\\w.])${name}\\.`).test(e.expr || ""));
    if (e.across !== undefined || names) pairs.add(e.name);
  }
  return pairs.has(metric.split(".")[0]) ? (spec.replicates || {}).count || 1 : 0;
}

function phaseAxis(trials, name, reverse) {
  const values = new Map();
  for (const t of trials) {
    const value = (t.values || {})[name];
    if (value !== undefined && !values.has(JSON.stringify(value))) values.set(JSON.stringify(value), value);
  }
  const list = [...values.values()];
  if (list.every((v) => typeof v === "number")) list.sort((a, b) => a - b);
  return reverse ? list.reverse() : list;
}

// Replicates of one point are alike in all but the seed; where several points
// fall into a cell their spread is what counts.
function gather(trials, metric, pairs) {
  const points = new Map();
  for (const t of trials) {
    const value = (t.metrics || {})[metric];
    if (typeof value !== "number") continue;
    const key = JSON.stringify(Object.entries(t.values || {}).filter(([name]) => name !== "seed").sort());
    if (!points.has(key)) points.set(key, []);
    points.get(key).push(value);
  }
  const found = [...points.values()].map((values) => estimateOf(values, pairs));
  if (found.length === 1) return found[0];
  return estimateOf(found.map((e) => e.mean), 0);
}

function phaseMeasure(spec, trials) {
  const report = spec.report.phase;
  const p = { report, x: report.x, y: report.y, xs: phaseAxis(trials, report.x, false),
    ys: phaseAxis(trials, report.y, report.hot === "high"), failed: 0 };
  const at = new Map(); // trials of a cell, and of a row
  for (const t of trials) {
    const values = t.values || {};
    for (const key of [JSON.stringify([values[p.y], values[p.x]]), JSON.stringify([values[p.y]])]) {
      if (!at.has(key)) at.set(key, []);
      at.get(key).push(t);
    }
    p.failed += t.state === "failed" ? 1 : 0;
  }
  const pairs = report.maps.map((metric) => pairsOf(spec, metric));
  p.dense = p.ys.map((y) => (report.dense ? gather(at.get(JSON.stringify([y])), report.dense, 0) : { count: 0 }));
  p.cells = p.ys.map((y) => p.xs.map((x) => {
    const own = at.get(JSON.stringify([y, x])) || [];
    const cell = {};
    report.maps.forEach((metric, i) => { cell[PHASE_MAPS[i]] = gather(own, metric, pairs[i]); });
    return cell;
  }));
  return p;
}

// ---- regimes

function regimeOf(lmc, cka, limits) {
  if (lmc < -limits.lmc) return "I";
  return cka < limits.cka ? "II-A" : "II-B";
}

// One pair has no spread: how far three neighbours along the temperature lie
// off a line stands for it.
function withError(p, row, column, map) {
  const own = p.cells[row][column][map];
  if (own === undefined || own.count !== 1 || p.ys.length < 3) return own;
  const middle = Math.min(Math.max(row, 1), p.ys.length - 2);
  const near = [-1, 0, 1].map((i) => p.cells[middle + i][column][map]);
  if (near.some((e) => e.count === 0)) return own;
  return { mean: own.mean, count: 2, error: Math.abs(near[0].mean - 2 * near[1].mean + near[2].mean) / Math.sqrt(6) };
}

function isDoubtful(lmc, cka, label, limits) {
  return [-1, 1].some((i) => [-1, 1].some((j) =>
    regimeOf(lmc.mean + i * lmc.error, cka.mean + j * cka.error, limits) !== label));
}

function labelCell(p, row, column, limits) {
  const cell = p.cells[row][column];
  cell.hot = p.tooHot[row];
  cell.regime = "";
  cell.sure = "";
  const lmc = withError(p, row, column, "lmc"), cka = withError(p, row, column, "cka");
  if (cell.hot || !lmc || !cka || lmc.count === 0 || cka.count === 0) return;
  cell.regime = regimeOf(lmc.mean, cka.mean, limits);
  if (lmc.count < 2 || cka.count < 2) cell.sure = "unknown";
  else cell.sure = isDoubtful(lmc, cka, cell.regime, limits) ? "doubtful" : "sure";
}

function phaseLabel(p, limits) {
  p.limits = limits;
  p.tooHot = p.dense.map((e) => e.count > 0 && e.mean >= limits.too_hot);
  p.best = p.xs.map((_, column) => {
    const rows = p.ys.map((_y, row) => row).filter((row) => !p.tooHot[row] && p.cells[row][column].error.count > 0);
    return rows.reduce((best, row) =>
      (best < 0 || p.cells[row][column].error.mean < p.cells[best][column].error.mean ? row : best), -1);
  });
  p.cells.forEach((cells, row) => cells.forEach((cell, column) => {
    labelCell(p, row, column, limits);
    const best = p.best[column];
    cell.above = best < 0 || cell.error.count === 0 ? NaN : cell.error.mean - p.cells[best][column].error.mean;
  }));
  const cool = p.tooHot.findIndex((hot) => !hot);
  const first = cool < 0 ? p.ys.length : cool;
  const named = p.ys.findIndex((y) => JSON.stringify(y) === JSON.stringify(p.report.default));
  const middle = first + Math.floor((p.ys.length - first) / 2);
  p.start = named >= 0 ? named : middle < p.ys.length ? middle : 0;
}

function cellLabel(cell) {
  if (cell.hot) return "too hot";
  return cell.regime + (cell.sure === "doubtful" ? "?" : "");
}

function phaseCsv(p) {
  const text = (value) => (typeof value === "number"
    ? (Number.isFinite(value) ? String(Number(value.toFixed(12))) : "")
    : /[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : String(value));
  const mean = (e) => (e && e.count > 0 ? text(e.mean) : "");
  const lines = ["temperature,load,error,error_minus_best,lmc,cka,regime"];
  p.cells.forEach((cells, row) => cells.forEach((cell, column) => lines.push([text(p.ys[row]), text(p.xs[column]),
    mean(cell.error), text(cell.above), mean(cell.lmc), mean(cell.cka), cell.hot ? "too hot" : cell.regime].join(","))));
  return `${lines.join("\n")}\n`;
}

// ---- the picture

const CELL_WIDTH = 64, CELL_HEIGHT = 36, LETTER = 12, LINE = 18;

function svg(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function textWidth(text) {
  return 0.56 * LETTER * String(text).length;
}

// What a panel shows, and the ends of its colours: light is better in all.
function phasePanels(p) {
  const metrics = p.report.maps;
  const means = (map) => (cell) => (cell[map] && cell[map].count > 0 ? cell[map].mean : NaN);
  const panels = [{ title: `error (${metrics[0]})`, of: means("error") },
    { title: "error minus the best of its column", of: (cell) => cell.above, light: 0 },
    { title: `LMC (${metrics[1]}): 0 is connected`, of: means("lmc"), light: 0, atMost: -2 * p.limits.lmc },
    { title: `CKA (${metrics[2]}): 1 is alike`, of: means("cka"), light: 1, atMost: p.limits.cka }].slice(0, metrics.length + 1);
  for (const panel of panels) {
    const shown = p.cells.flat().filter((cell) => !cell.hot).map(panel.of).filter((value) => !Number.isNaN(value));
    const least = shown.length > 0 ? Math.min(...shown) : 0, most = shown.length > 0 ? Math.max(...shown) : 1;
    panel.dark = panel.atMost !== undefined ? Math.min(least, panel.atMost) : most;
    if (panel.light === undefined) panel.light = least;
  }
  return panels;
}

function colourOf(panel, value) {
  const range = panel.light - panel.dark;
  const share = range === 0 ? 0 : (value - panel.dark) / range;
  const at = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1);
  const i = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return VIRIDIS[i].map((from, k) => Math.round(from + (at - i) * (VIRIDIS[i + 1][k] - from)));
}

function inkOn(colour) {
  return 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2] > 0.45 * 255 ? "#000" : "#fff";
}

function shortNumber(value) {
  return Math.abs(value) < 0.0005 ? "0" : value.toFixed(3);
}

// With something to stand on the text is centred, else it begins or ends there.
function writing(x, y, text, anchor, more) {
  return svg("text", { x, y, "text-anchor": anchor || "start", fill: "currentColor", ...more }, String(text));
}

function drawCell(panel, cell, x, y, mark) {
  const value = panel.of(cell);
  const g = svg("g", {});
  if (Number.isNaN(value)) {
    g.append(svg("path", { d: `M${x + 4} ${y + CELL_HEIGHT - 4}L${x + CELL_WIDTH - 5} ${y + 3}`, stroke: "#999" }));
    if (mark) g.append(writing(x + CELL_WIDTH / 2, y + 31, mark, "middle", { "font-size": 11 }));
    return g;
  }
  const colour = colourOf(panel, value), fill = inkOn(colour), middle = x + CELL_WIDTH / 2;
  g.append(svg("rect", { x, y, width: CELL_WIDTH - 1, height: CELL_HEIGHT - 1, fill: `rgb(${colour})` }),
    writing(middle, y + (mark === null ? 22 : 16), shortNumber(value), "middle", { fill }));
  if (mark) g.append(writing(middle, y + 31, mark, "middle", { fill, "font-size": 11 }));
  return g;
}

// The lines between regimes, black in white: seen on every colour.
function drawBorders(p, left, top) {
  const name = (row, column) => (p.cells[row][column].hot ? "hot" : p.cells[row][column].regime);
  let d = "";
  p.cells.forEach((cells, row) => cells.forEach((_, column) => {
    const x = left + CELL_WIDTH * column - 0.5, y = top + CELL_HEIGHT * row - 0.5;
    if (column > 0 && name(row, column - 1) !== name(row, column)) d += `M${x} ${y}v${CELL_HEIGHT}`;
    if (row > 0 && name(row - 1, column) !== name(row, column)) d += `M${x} ${y}h${CELL_WIDTH}`;
  }));
  const path = (stroke, width) => svg("path", { d, stroke, "stroke-width": width, "stroke-linecap": "square", fill: "none", class: "border" });
  return d === "" ? svg("g", {}) : svg("g", {}, path("#fff", 5), path("#000", 2.2));
}

function drawScale(panel, left, top) {
  const STEPS = 48, STEP = 4, width = STEPS * STEP;
  const g = svg("g", {});
  for (let i = 0; i < STEPS; i++) {
    const colour = colourOf(panel, panel.dark + ((i + 0.5) / STEPS) * (panel.light - panel.dark));
    g.append(svg("rect", { x: left + STEP * i, y: top, width: STEP, height: 10, fill: `rgb(${colour})`, "shape-rendering": "crispEdges" }));
  }
  [["start", 0], ["middle", 0.5], ["end", 1]].forEach(([anchor, share]) => g.append(
    writing(left + width * share, top + 22, shortNumber(panel.dark + share * (panel.light - panel.dark)), anchor, { "font-size": 11 })));
  g.append(writing(left + width + 8, top + 10, "light is better", "start", { "font-size": 11 }));
  return g;
}

function drawPanel(p, panel, first, left, top) {
  const g = svg("g", {}), bottom = top + CELL_HEIGHT * p.ys.length;
  g.append(writing(left, top - 26, panel.title, "start", { "font-weight": 600 }),
    writing(left - 8, top - 8, `${p.y}, hot first`, "end"));
  p.ys.forEach((y, row) => g.append(writing(left - 8, top + CELL_HEIGHT * row + 22, y, "end")));
  p.xs.forEach((x, column) => g.append(writing(left + CELL_WIDTH * (column + 0.5), bottom + 14, x, "middle")));
  g.append(writing(left + (CELL_WIDTH * p.xs.length) / 2, bottom + 14 + LINE, p.x, "middle"));
  p.cells.forEach((cells, row) => cells.forEach((cell, column) => g.append(
    drawCell(panel, cell, left + CELL_WIDTH * column, top + CELL_HEIGHT * row, first ? cellLabel(cell) : null))));
  g.append(drawBorders(p, left, top), drawScale(panel, left, bottom + 44));
  return g;
}

function phaseNotes(p) {
  const cells = p.cells.flat(), l = p.limits;
  const notes = [];
  if (cells.some((cell) => cell.regime !== ""))
    notes.push(`I: not connected (LMC below -${number(l.lmc)})   II-A: connected, outputs differ (CKA below ${number(l.cka)})   II-B: connected and alike`);
  if (cells.some((cell) => cell.sure === "doubtful"))
    notes.push(`?: one standard error away the label is another${cells.some((cell) => cell.sure === "doubtful" && cell.lmc.count === 1)
      ? "; of one pair of replicates a cell that is how far it lies off its neighbours" : ""}`);
  if (cells.some((cell) => cell.sure === "unknown"))
    notes.push("one pair of replicates a cell: how sure the labels are is not known (replicates: 3 makes three pairs)");
  if (p.tooHot.includes(true)) notes.push(`too hot: the dense model's error is ${number(l.too_hot)} or more`);
  if (p.failed > 0) notes.push(`${p.failed} trials failed`);
  return notes;
}

function drawPhase(p) {
  const panels = phasePanels(p), notes = phaseNotes(p);
  const labels = Math.max(textWidth(`${p.y}, hot first`), ...p.ys.map(textWidth)) + 16;
  const width = labels + Math.max(CELL_WIDTH * p.xs.length, 290) + 24;
  const height = 52 + CELL_HEIGHT * p.ys.length + 84;
  const high = Math.ceil(panels.length / 2) * height;
  const picture = svg("svg", { xmlns: "http://www.w3.org/2000/svg", width: 2 * width, height: high + LINE * notes.length + 8,
    viewBox: `0 0 ${2 * width} ${high + LINE * notes.length + 8}`, "font-size": LETTER, "font-family": "system-ui, sans-serif",
    role: "img", "aria-label": `Maps of ${p.report.maps.join(", ")} over ${p.x} and ${p.y}; the arrow keys move a cursor` });
  p.corners = panels.map((_, i) => [labels + width * (i % 2), 52 + height * Math.floor(i / 2)]);
  panels.forEach((panel, i) => picture.append(drawPanel(p, panel, i === 0, ...p.corners[i])));
  notes.forEach((note, i) => picture.append(writing(8, high + LINE * (i + 0.6), note)));
  return picture;
}

// ---- on the page

// Which way to turn the temperature at each load.
function adviceTable(p) {
  const start = p.ys[p.start];
  const head = [p.x, `at ${p.y} ${start}`, "temperature", `best ${p.y}`, "error"];
  return element("table", { class: "advice" },
    element("thead", {}, element("tr", {}, ...head.map((name) => element("th", {}, name)))),
    element("tbody", {}, ...p.xs.map((x, column) => {
      const cell = p.cells[p.start][column], best = p.best[column];
      const error = best < 0 ? { count: 0 } : p.cells[best][column].error;
      const texts = [x, cellLabel(cell), cell.hot ? "lower" : REGIMES[cell.regime] || "", best < 0 ? "" : p.ys[best],
        error.count === 0 ? "" : errorText(error)];
      return element("tr", {}, ...texts.map((text) => element("td", {}, String(text))));
    })));
}

function errorText(e) {
  return number(e.mean) + (e.error > 0 ? ` ± ${e.error.toPrecision(2)}` : "");
}

function readout(p, row, column) {
  const cell = p.cells[row][column];
  const parts = [`${p.y} ${p.ys[row]}, ${p.x} ${p.xs[column]}: ${cellLabel(cell) || "not measured"}`];
  for (const map of PHASE_MAPS)
    if (cell[map] && cell[map].count > 0) parts.push(`${map === "error" ? map : map.toUpperCase()} ${errorText(cell[map])}`);
  return parts.join("; ");
}

function phaseLimits(report) {
  const given = new URLSearchParams(location.hash.split("?")[1] || "");
  const said = { lmc: 0.05, cka: 0.96, too_hot: 0.5, ...report.regimes };
  const limit = (name) => (given.has(name) && Number.isFinite(Number(given.get(name))) ? Number(given.get(name)) : said[name]);
  return { said, lmc: limit("lmc"), cka: limit("cka"), too_hot: said.too_hot };
}

// A view that stays on the page while its numbers change: `update(trials)`.
function phaseView(id, spec) {
  const limits = phaseLimits(spec.report.phase);
  const picture = element("div", { class: "wide" }), advice = element("div", {});
  const line = element("p", { class: "readout", role: "status" });
  const links = element("p", {});
  let p = null, cursor = null;

  function showCursor() {
    const drawn = picture.firstChild;
    drawn.querySelectorAll(".cursor").forEach((old) => old.remove());
    line.textContent = cursor ? readout(p, ...cursor) : "Point at a cell.";
    if (!cursor) return;
    p.corners.forEach(([left, top]) => drawn.append(svg("rect", { class: "cursor", x: left + CELL_WIDTH * cursor[1] - 0.5,
      y: top + CELL_HEIGHT * cursor[0] - 0.5, width: CELL_WIDTH, height: CELL_HEIGHT, fill: "none", "stroke-width": 3 })));
  }
  function point(event) {
    const box = picture.firstChild.getBoundingClientRect();
    const scale = picture.firstChild.viewBox.baseVal.width / box.width;
    const at = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    const found = p.corners.map(([left, top]) => [Math.floor((at[1] - top) / CELL_HEIGHT), Math.floor((at[0] - left) / CELL_WIDTH)])
      .find(([row, column]) => row >= 0 && row < p.ys.length && column >= 0 && column < p.xs.length);
    if (!found) return;
    cursor = found;
    showCursor();
  }
  function step(event) {
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!by) return;
    event.preventDefault();
    const to = cursor ? [cursor[0] + by[0], cursor[1] + by[1]] : [0, 0];
    cursor = [Math.min(Math.max(to[0], 0), p.ys.length - 1), Math.min(Math.max(to[1], 0), p.xs.length - 1)];
    showCursor();
  }
  function draw() {
    phaseLabel(p, limits);
    const drawn = drawPhase(p);
    const focused = picture.contains(document.activeElement);
    picture.replaceChildren(drawn);
    drawn.setAttribute("tabindex", "0");
    drawn.addEventListener("pointermove", point);
    drawn.addEventListener("keydown", step);
    if (focused) drawn.focus();
    advice.replaceChildren(...(spec.report.phase.maps.length > 2 ? [adviceTable(p)] : []));
    const file = (name, type, text) => element("a", { download: `phase.${name}`, href: `data:${type};charset=utf-8,${encodeURIComponent(text)}` }, `phase.${name}`);
    links.replaceChildren("Save ", file("svg", "image/svg+xml", drawn.outerHTML), " or ", file("csv", "text/csv", phaseCsv(p)), ".");
    showCursor();
  }
  function slider(name, least, most) {
    const shown = element("output", {}, number(limits[name]));
    const move = (event) => {
      limits[name] = Number(event.target.value);
      shown.textContent = number(limits[name]);
      const said = new URLSearchParams();
      for (const key of ["lmc", "cka"]) if (limits[key] !== limits.said[key]) said.set(key, limits[key]);
      history.replaceState(null, "", `#${id}${said.size > 0 ? `?${said}` : ""}`);
      draw();
    };
    const input = element("input", { type: "range", min: least, max: most, step: 0.001, value: limits[name], oninput: move });
    return element("label", {}, name === "lmc" ? "I below LMC -" : "II-A below CKA ", shown, " ", input);
  }

  const sliders = element("p", { class: "sliders" },
    ...(spec.report.phase.maps.length > 2 ? [slider("lmc", 0, Math.max(0.3, limits.lmc)), slider("cka", Math.min(0.5, limits.cka), 1)] : []));
  return {
    node: element("section", { id: "phase" }, element("h2", {}, "Phase map"), sliders, picture, line, advice, links),
    update(trials) {
      p = phaseMeasure(spec, trials);
      if (p.xs.length === 0 || p.ys.length === 0 || p.xs.length > PHASE_SIDE || p.ys.length > PHASE_SIDE) p = null;
      this.node.hidden = p === null;
      if (p !== null) draw();
    },
  };
}
