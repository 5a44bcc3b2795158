const { h, on, emit, call, guarded, controls, session, recipe, model, status, keys, drops, tabs, decode, clone, same } = window.studio;
const root = element.querySelector(".studio-widget");
const KEY = "studio.mix.v1";
const MOST = 8;
const GAP = 2;
const APART = 10;
const KEPT = 600;
const GROUPS = [["coarse", "Coarse"], ["middle", "Middle"], ["fine", "Fine"]];
const SEEDS = { rows: [85, 100, 75], cols: [55, 821, 1789, 293] };

const state = { rows: [], cols: [], weights: [] };
const images = new Map();
let grid = { unit: 0, left: 0, top: 0 };
let cursor = 0;
let isFilling = false;
let cost = 30;
let chosen = null;

const latentOf = (seed) => ({ x: seed, y: 0, ws: "", classes: clone(recipe.get("latent.classes") || []) });
const nameOf = (latent) => (latent.ws ? "picture" : Number.isInteger(latent.x) && Number.isInteger(latent.y) ? String(latent.x + 100 * latent.y) : `${latent.x.toFixed(1)} / ${latent.y.toFixed(1)}`);

// ---- what each cell is ----------------------------------------------------------------------------------------------
function base() {
  const value = clone(recipe.value);
  value.mixing = [];
  value.blends = [];
  value.restyle = null;
  value.latent = clone(session.defaults.latent);
  return value;
}

function cellRecipe(row, column) {
  const whole = base();
  whole.latent = clone(row ? state.rows[row - 1] : state.cols[column - 1]);
  if (row && column) whole.mixing = [{ latent: clone(state.cols[column - 1]), weights: [...state.weights] }];
  return whole;
}
const keyOf = (row, column) => JSON.stringify(cellRecipe(row, column));
const cells = () => {
  const all = [];
  for (let row = 0; row <= state.rows.length; row += 1) for (let column = 0; column <= state.cols.length; column += 1) if (row || column) all.push([row, column]);
  return all;
};

// ---- the sheet ------------------------------------------------------------------------------------------------------
const canvas = h("canvas", { "aria-hidden": "true" });
const context = canvas.getContext("2d");
const buttons = h("div", { class: "cells", role: "grid", "aria-label": "Mixed pictures" });
const sheet = h("div", { class: "studio-sheet" }, canvas, buttons);
const shown = new Map();

function layout() {
  const box = sheet.getBoundingClientRect();
  if (!box.width || !state.rows.length) return;
  const across = state.cols.length + 1;
  const down = state.rows.length + 1;
  const unit = Math.max(24, Math.floor(Math.min((box.width - APART) / across, (box.height - APART) / down)));
  const density = Math.min(devicePixelRatio || 1, 2);
  grid = { unit, left: Math.max(0, (box.width - unit * across - APART) / 2), top: Math.max(0, (box.height - unit * down - APART) / 2), density };
  canvas.width = Math.round(box.width * density);
  canvas.height = Math.round(box.height * density);
  context.setTransform(density, 0, 0, density, 0, 0);
  placeButtons();
  paint();
}

const corner = (row, column) => ({ x: grid.left + column * grid.unit + (column ? APART : 0), y: grid.top + row * grid.unit + (row ? APART : 0) });

function placeButtons() {
  const wanted = cells().map(([row, column]) => `${row}.${column}`);
  for (const [key, button] of shown) if (!wanted.includes(key)) { button.remove(); shown.delete(key); }
  for (const [row, column] of cells()) {
    const key = `${row}.${column}`;
    let button = shown.get(key);
    if (!button) {
      button = h("button", { type: "button", "data-row": String(row), "data-column": String(column), tabindex: "-1",
        onclick: () => adopt(row, column), onpointerenter: () => choose([row, column]), onpointerleave: () => choose(null), onfocus: () => choose([row, column]), onblur: () => choose(null) });
      drops.give(button, () => ({ recipe: cellRecipe(row, column), name: button.getAttribute("aria-label") }));
      shown.set(key, button);
      buttons.append(button);
    }
    const at = corner(row, column);
    button.style.cssText = `left:${at.x}px;top:${at.y}px;width:${grid.unit}px;height:${grid.unit}px`;
    const place = row ? nameOf(state.rows[row - 1]) : "";
    const style = column ? nameOf(state.cols[column - 1]) : "";
    button.setAttribute("aria-label", row && column ? `${place} with the style of ${style}` : `Source ${place || style}`);
  }
  if (![...shown.values()].some((button) => button.tabIndex === 0)) shown.get("1.1")?.setAttribute("tabindex", "0");
}

function paint() {
  cancelAnimationFrame(paint.frame);
  paint.frame = requestAnimationFrame(() => {
    const style = getComputedStyle(root);
    context.clearRect(0, 0, canvas.width, canvas.height);
    for (const [row, column] of cells()) paintCell(row, column, style);
    if (chosen) paintChosen(style);
  });
}

function paintCell(row, column, style) {
  const at = corner(row, column);
  const image = images.get(keyOf(row, column)) || shown.get(`${row}.${column}`)?.image;
  const side = grid.unit - GAP;
  if (image) return context.drawImage(image, at.x, at.y, side, side);
  context.fillStyle = style.getPropertyValue("--raise");
  return context.fillRect(at.x, at.y, side, side);
}

/** The cell under the hand, enlarged over its neighbours. */
function paintChosen(style) {
  const [row, column] = chosen;
  const image = images.get(keyOf(row, column)) || shown.get(`${row}.${column}`)?.image;
  const at = corner(row, column);
  const box = sheet.getBoundingClientRect();
  const side = Math.min(Math.max(grid.unit * 1.7, 176), box.width, box.height);
  const x = Math.min(Math.max(at.x + grid.unit / 2 - side / 2, 0), box.width - side);
  const y = Math.min(Math.max(at.y + grid.unit / 2 - side / 2, 0), box.height - side);
  if (!image) return;
  context.drawImage(image, x, y, side, side);
  context.strokeStyle = style.getPropertyValue("--accent");
  context.lineWidth = 2;
  context.strokeRect(x + 1, y + 1, side - 2, side - 2);
}

function choose(cell) {
  chosen = cell;
  paint();
}

buttons.addEventListener("keydown", (event) => {
  const { row, column } = event.target.dataset;
  const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!move) return;
  const next = shown.get(`${Number(row) + move[0]}.${Number(column) + move[1]}`);
  event.preventDefault();
  if (!next) return;
  event.target.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});

// ---- drawing the cells that are not there yet, a few at a time ------------------------------------------------------------
async function fill() {
  if (isFilling || tabs.current() !== "mix" || !model.facts || !state.rows.length) return;
  isFilling = true;
  try {
    for (;;) {
      const all = cells();
      const missing = [...all.slice(cursor), ...all.slice(0, cursor)].filter(([row, column]) => !images.has(keyOf(row, column)));
      emit("mix-missing", missing.length);
      progress(all.length - missing.length, all.length);
      if (!missing.length) return;
      const lot = missing.slice(0, Math.max(1, Math.min(MOST, Math.round(80 / cost))));
      if (!(await draw(lot))) return;
      cursor = (all.findIndex((cell) => same(cell, lot[lot.length - 1])) + 1) % all.length;
    }
  } finally {
    isFilling = false;
    if (tabs.current() === "mix") bar.dataset.busy = "";
  }
}

async function draw(lot) {
  const began = performance.now();
  const keysOf = lot.map(([row, column]) => keyOf(row, column));
  const size = Math.min(1024, Math.max(64, Math.round(Math.max(grid.unit, 128) * (grid.density || 1) * 1.5)));
  const answer = await guarded(() => call(server, "mix_cells", { recipe: base(), rows: state.rows, cols: state.cols, weights: state.weights, cells: lot, size }));
  if (!answer) return false;
  cost = Math.max(1, (performance.now() - began) / lot.length);
  const pictures = await Promise.all(answer.cells.map(decode));
  pictures.forEach((image, i) => {
    images.set(keysOf[i], image);
    const button = shown.get(lot[i].join("."));
    if (button) button.image = image;
  });
  while (images.size > KEPT) images.delete(images.keys().next().value);
  emit("speed", answer.speed);
  paint();
  return true;
}

const bar = h("div", { class: "studio-progress", "data-known": "1", role: "presentation" }, h("i"));
function progress(done, total) {
  bar.style.setProperty("--share", String(done / total));
  bar.classList.toggle("idle", done === total);
}

function refresh() {
  localStorage.setItem(KEY, JSON.stringify({ ...state, model: model.facts?.name }));
  layout();
  fill();
}

async function adopt(row, column) {
  if (await recipe.replace(cellRecipe(row, column), { source: "mix" })) {
    status(`${shown.get(`${row}.${column}`).getAttribute("aria-label")}: now in Explore. Undo brings back what was there.`);
    await tabs.show("explore");
  }
}

// ---- layers -----------------------------------------------------------------------------------------------------------
const layersBox = h("div", { class: "studio-faders" });
let faders = [];
const groupButtons = new Map(GROUPS.map(([group, label]) => [group, controls.button({
  label, help: { coarse: "Pose and overall shape: layers of 4 to 8 pixels", middle: "Features: layers of 16 to 32 pixels", fine: "Colour and surface: layers of 64 pixels and up" }[group],
  onClick: () => {
    const isOn = weightsOf(group).every((weight) => weight === 1);
    model.facts.layers.forEach((layer, i) => { if (layer.group === group) state.weights[i] = isOn ? 0 : 1; });
    showWeights();
    refresh();
  },
})]));
const weightsOf = (group) => state.weights.filter((_, i) => model.facts.layers[i]?.group === group);

function showWeights() {
  faders.forEach((fader, i) => fader.set(state.weights[i]));
  for (const [group, button] of groupButtons) {
    const all = weightsOf(group);
    const isAll = all.length > 0 && all.every((weight) => weight === 1);
    button.setAttribute("aria-pressed", isAll ? "true" : all.some((weight) => weight > 0) ? "mixed" : "false");
    button.disabled = !all.length;
    button.dataset.group = group;
  }
}

function buildLayers(facts) {
  faders = facts.layers.map((layer, i) => controls.fader({
    label: `Layer ${i + 1}, ${layer.resolution} pixels, ${layer.group}`, short: String(i + 1), group: layer.group, value: state.weights[i], reset: layer.group === "coarse" ? 1 : 0,
    help: `Layer ${i + 1} acts at ${layer.resolution} pixels: how much of it comes from the column`,
    onInput: (value) => { state.weights[i] = value; showWeights(); refresh(); }, onCommit: refresh,
  }));
  layersBox.replaceChildren(...faders.map((fader) => fader.element));
}

// ---- sources ------------------------------------------------------------------------------------------------------------
function sources(side, title, text) {
  const list = h("div", { class: "studio-sources", role: "list" });
  const seed = controls.number({ label: `Seed to add: ${title.toLowerCase()}`, value: 0, low: 0, high: 2 ** 32 - 1 });
  const add = controls.button({ label: "Add", icon: "plus", help: `Adds this seed ${title.toLowerCase()}`, onClick: () => put(side, latentOf(seed.input.valueAsNumber || 0)) });
  seed.input.addEventListener("keydown", (event) => { if (event.key === "Enter") add.click(); });
  const section = controls.group(title, list, h("div", { class: "studio-row sources" }, seed.input, add));
  controls.help(section.firstElementChild, text);
  drops.take(section, (picture) => take(side, picture));
  return { section, show: () => list.replaceChildren(...state[side].map((latent, i) => chip(side, latent, i))) };
}

function chip(side, latent, i) {
  const name = nameOf(latent);
  const remove = h("button", { type: "button", "aria-label": `Remove ${name}`, disabled: state[side].length < 2, onclick: () => { state[side].splice(i, 1); showSources(); refresh(); } }, controls.icon("close"));
  return h("div", { class: "studio-chip", role: "listitem" }, h("span", { text: name }), remove);
}

function put(side, latent) {
  if (state[side].length >= MOST) return status(`A sheet has at most ${MOST} rows and ${MOST} columns. Remove one first.`, "error");
  state[side].push(latent);
  showSources();
  return refresh();
}

async function take(side, picture) {
  if (picture.recipe.model.name !== model.facts?.name) return status(`This picture was made with ${picture.recipe.model.name}. Choose that model to mix it.`, "error");
  const answer = await guarded(() => call(server, "source", { recipe: picture.recipe }));
  if (answer) put(side, answer.latent);
  return undefined;
}

const rowsPart = sources("rows", "Down the side", "These give the place: what is drawn");
const colsPart = sources("cols", "Across the top", "These lend their style in the layers chosen above");
function showSources() {
  rowsPart.show();
  colsPart.show();
}

function shuffle() {
  if (!model.facts) return;
  for (const side of ["rows", "cols"]) state[side] = state[side].map(() => latentOf(Math.floor(Math.random() * 100000)));
  showSources();
  refresh();
}

function swap() {
  [state.rows, state.cols] = [state.cols, state.rows];
  showSources();
  refresh();
}

// ---- put together ---------------------------------------------------------------------------------------------------------
function start(facts) {
  const stored = (() => { try { return JSON.parse(localStorage.getItem(KEY)); } catch { return null; } })();
  const isStored = stored?.model === facts.name && Array.isArray(stored.weights) && stored.weights.length === facts.num_ws && stored.rows?.length && stored.cols?.length;
  if (isStored) Object.assign(state, { rows: stored.rows, cols: stored.cols, weights: stored.weights });
  else {
    state.rows = [clone(recipe.value.latent), ...SEEDS.rows.slice(1).map(latentOf)];
    state.cols = SEEDS.cols.map(latentOf);
    state.weights = facts.layers.map((layer) => (layer.group === "coarse" ? 1 : 0));
  }
  images.clear();
  shown.forEach((button) => { button.image = null; });
  buildLayers(facts);
  showWeights();
  showSources();
  refresh();
}

on("model", (facts) => { if (facts) start(facts); });
on("recipe", () => { if (tabs.current() === "mix") fill(); paint(); });
on("mix-add", async (pictures) => { for (const picture of pictures) await take("cols", picture); });
on("theme", paint);
on("tab", (id) => { if (id === "mix") { layout(); fill(); } });
keys.register({ key: "r", title: "New seeds", tab: "mix", run: shuffle });
drops.take(sheet, (picture) => take("cols", picture));
new ResizeObserver(() => { layout(); fill(); }).observe(sheet);

const tools = h("div", { class: "studio-actions", role: "toolbar", "aria-label": "Sheet" },
  h("div", { class: "studio-quiet", text: "Click a picture to go on with it in Explore" }),
  h("div", {}, controls.button({ label: "Swap", kind: "quiet", help: "Rows become columns", onClick: swap }), controls.button({ label: "New seeds", icon: "dice", key: "R", help: "Draws a new seed for every row and column", onClick: shuffle })));
root.append(
  h("div", { class: "studio-stage" }, h("div", { class: "studio-picture" }, sheet, h("div", { class: "studio-waiting" }, bar)), tools),
  h("div", { class: "studio-side", role: "group", "aria-label": "Controls" },
    controls.group("Layers that come from the top", h("div", { class: "studio-row" }, [...groupButtons.values()]), layersBox), rowsPart.section, colsPart.section),
);
window.studio.mounted(element);
