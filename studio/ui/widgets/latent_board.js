const { h, on, emit, call, guarded, latestWins, controls, session, recipe, model, status, keys, drops, tabs, decode, same, Stage, Plane, holdButton } = window.studio;
const root = element.querySelector(".studio-widget");

// ---- the picture --------------------------------------------------------------------------------------------------
const chooseFile = h("input", { type: "file", hidden: true, onchange: () => drops.deliver([...chooseFile.files]) });
const stage = new Stage({
  empty: h("div", {},
    h("h2", { text: "Bring a model" }),
    h("p", { text: "Drop a StyleGAN file anywhere on this page: .pkl, .pt or .safetensors. Nothing in it is ever run." }),
    controls.button({ label: "Choose a model file", kind: "primary", onClick: () => chooseFile.click() }), chooseFile),
});
const FULL = 32;
/** Milliseconds for which the hand must rest before a picture is enlarged. */
const REST = 250;
const pictures = new Map();
const keyOf = (value) => JSON.stringify(value);
let drawn = "";
let settledKey = "";

function words() {
  const { latent, truncation } = recipe.value;
  return `${recipe.value.model.name}, place ${latent.x.toFixed(2)} by ${latent.y.toFixed(2)}, psi ${truncation.psi.toFixed(2)}`;
}

const showSize = () => {
  const box = stage.frame.getBoundingClientRect();
  return Math.max(64, Math.min(2048, Math.round(Math.min(box.width, box.height) * Math.min(devicePixelRatio || 1, 2)) || 512));
};

/** Draw while the hand moves: one request in flight, the newest recipe wins, nothing older than what is shown is drawn. */
const drawPreview = latestWins(async (wanted) => {
  const key = keyOf(wanted);
  if (!wanted.model.name || key === drawn) return;
  const answer = await guarded(() => stage.waiting(call(server, "preview", { recipe: wanted, size: showSize() })));
  if (!answer) return;
  emit("speed", answer.speed);
  if (drawn === keyOf(recipe.value)) return;
  stage.draw(await decode(answer.url), words());
  drawn = key;
});

/** Draw in full quality when the hand let go. gather: put the picture into the strip. */
const drawFull = latestWins(async ({ wanted, gather }, isOutdated) => {
  if (!wanted.model.name) return;
  const key = keyOf(wanted);
  const answer = await guarded(() => stage.waiting(call(server, "settle", { recipe: wanted, gather })));
  if (!answer) return;
  const image = await decode(answer.url);
  pictures.set(key, image);
  while (pictures.size > FULL) pictures.delete(pictures.keys().next().value);
  if (gather) emit("picture-made", answer.item);
  if (isOutdated() || key !== keyOf(recipe.value)) return;
  showFull(key, image);
});

function showFull(key, image) {
  if (settledKey && settledKey !== key) stage.remember(pictures.get(settledKey) || stage.before);
  settledKey = key;
  drawn = key;
  stage.canvas.dataset.quality = "full";
  if (!showCrisp(key)) stage.draw(image, words());
}

// ---- crisp: enlarged by a network instead of smoothly, when the hand rests ----------------------------------------------
const CRISP = "studio.crisp";
const enlarged = new Map();
let isCrisp = localStorage.getItem(CRISP) !== "no";

/** Show the picture of a recipe enlarged: the one that is there, or (false) as soon as it is made; moving on drops it. */
function showCrisp(key) {
  if (!isCrisp || !session.settings.crisp.length) return false;
  const image = enlarged.get(key);
  if (image) {
    stage.draw(image, words());
    stage.canvas.dataset.quality = "crisp";
  } else if (image === undefined) drawCrisp(recipe.value);
  return !!image;
}

const drawCrisp = latestWins(async (wanted, isOutdated) => {
  const key = keyOf(wanted);
  await new Promise((resolve) => { setTimeout(resolve, REST); });
  if (isOutdated() || enlarged.has(key) || key !== keyOf(recipe.value)) return;
  const answer = await guarded(() => call(server, "crisp", { recipe: wanted, size: showSize() }));
  if (!answer) return;
  enlarged.set(key, answer.url ? await decode(answer.url) : null);
  while (enlarged.size > FULL) enlarged.delete(enlarged.keys().next().value);
  if (isCrisp && key === drawn && key === keyOf(recipe.value)) showCrisp(key);
});

function setCrisp(isOn) {
  isCrisp = isOn;
  localStorage.setItem(CRISP, isOn ? "yes" : "no");
  crispButton.setAttribute("aria-pressed", String(isOn));
  status(isOn ? "Pictures are enlarged crisply." : "Pictures are shown as the model made them, enlarged smoothly.");
  if (pictures.has(drawn) && drawn === keyOf(recipe.value)) showFull(drawn, pictures.get(drawn));
}
const crispButton = controls.button({ label: "Crisp", icon: "crisp", key: "C", kind: "quiet", help: "Enlarges the picture by a network when the hand rests, instead of smoothly; a picture saved larger than the model's own size, too", onClick: () => setCrisp(!isCrisp) });
crispButton.setAttribute("aria-pressed", String(isCrisp));
crispButton.hidden = true;

on("recipe", ({ recipe: value, source }) => {
  follow(value);
  const key = keyOf(value);
  stage.canvas.dataset.quality = "";
  if (pictures.has(key)) showFull(key, pictures.get(key));
  else drawPreview(value);
  if (source === "start") settle(value, !session.hasSteps);
});
on("commit", ({ recipe: value, record }) => settle(value, record));

let committed = "";
function settle(value, record) {
  const key = keyOf(value);
  if (!value.model.name || key === committed) return;
  committed = key;
  if (record || !pictures.has(key)) drawFull({ wanted: value, gather: record });
  if (record) inOrder(async () => showSteps((await call(server, "record", { recipe: value })).steps));
}

// ---- undo, redo, compare, save ------------------------------------------------------------------------------------
const undoButton = controls.button({ label: "Undo", icon: "undo", iconOnly: true, kind: "quiet", key: "Z", onClick: () => step("undo") });
const redoButton = controls.button({ label: "Redo", icon: "redo", iconOnly: true, kind: "quiet", key: "Shift+Z", onClick: () => step("redo") });

function showSteps({ undo, redo }) {
  undoButton.disabled = undo < 1;
  redoButton.disabled = redo < 1;
}
on("steps", (steps) => {
  session.hasSteps = steps.undo + steps.redo > 0;
  showSteps(steps);
});

let last = Promise.resolve();
/** Steps reach the server in the order in which they were made. */
function inOrder(task) {
  last = last.then(() => guarded(task));
  return last;
}

function step(name) {
  return inOrder(async () => {
    const answer = await call(server, name);
    showSteps(answer.steps);
    if (!answer.recipe) return status(answer.say);
    await recipe.replace(answer.recipe, { source: name, record: false });
    return status(name === "undo" ? "Undone." : "Done again.");
  });
}

async function holdBefore(isHeld) {
  if (isHeld && !stage.before) {
    const answer = await guarded(() => call(server, "before"));
    if (answer?.url) stage.remember(await decode(answer.url));
    else status("There is no picture before this one.");
  }
  stage.hold(isHeld);
}

const compareButton = holdButton({ label: "Hold to compare", help: "Shows the picture before the last change, for as long as it is held", icon: "eye", onHold: holdBefore });
const splitButton = controls.button({ label: "Split", icon: "compare", kind: "quiet", help: "Two pictures under one movable edge: the one before and this one. Shift-click a picture of the strip to choose another", onClick: () => (stage.other ? split(null) : split(stage.before, "Before")) });
splitButton.setAttribute("aria-pressed", "false");

function split(other, name) {
  if (other === undefined || (other === null && name)) return status("There is nothing to compare with yet: move something first.");
  stage.split(other, [name, "Now"]);
  splitButton.setAttribute("aria-pressed", String(!!other));
  return undefined;
}
on("compare", async ({ url, name, recipe: other }) => {
  if (tabs.current() !== "explore") await tabs.show("explore");
  split(await decode(url), name);
});
on("cancel", () => split(null));

async function save() {
  if (!model.facts) return status("There is no picture to save yet.");
  saveButton.disabled = true;
  const answer = await guarded(() => stage.waiting(call(server, "save", { recipe: recipe.value, crisp: isCrisp && session.settings.crisp.length > 0 })));
  saveButton.disabled = false;
  if (answer) {
    status(answer.say);
    emit("gallery");
    if (answer.download) h("a", { href: answer.download, download: answer.id }).click();
  }
  return undefined;
}
const saveButton = controls.button({ label: "Save", icon: "save", kind: "primary", key: "S", help: "Renders in full quality and writes a PNG that brings every control back when it is dropped here", onClick: save });
const bar = h("div", { class: "studio-actions", role: "toolbar", "aria-label": "Picture" },
  h("div", {}, undoButton, redoButton), h("div", {}, compareButton, splitButton, crispButton), h("div", {}, saveButton));

// ---- place --------------------------------------------------------------------------------------------------------
const commit = () => recipe.commit();
const place = new Plane({
  help: "Every whole-numbered place is a seed; drag to travel between them, click one to go exactly there, arrow keys step",
  onMove: ({ x, y }) => recipe.change({ "latent.x": x, "latent.y": y, "latent.ws": "" }, "plane"),
  onDone: commit,
  fetchCells: async (places) => {
    try {
      const answer = await call(server, "plane_cells", { recipe: recipe.value, places });
      return await Promise.all(answer.cells.map(decode));
    } catch {
      return null;
    }
  },
});
const numberX = controls.number({ label: "Seed", value: 0, low: -(2 ** 32), high: 2 ** 32, step: 1, fine: 0.01, onInput: (x) => recipe.change({ "latent.x": x, "latent.ws": "" }), onCommit: commit });
const numberY = controls.number({ label: "Row", value: 0, low: -(2 ** 26), high: 2 ** 26, step: 1, fine: 0.01, onInput: (y) => recipe.change({ "latent.y": y, "latent.ws": "" }), onCommit: commit });
const lockButton = controls.button({ label: "Lock", icon: "lock", key: "L", kind: "toggle", help: "Keeps this place: dragging and Random leave it, Random then varies the character instead", onClick: () => lock(!place.locked) });
const randomButton = controls.button({ label: "Random", icon: "dice", key: "R", help: "Goes to a random seed", onClick: random });

function lock(isLocked) {
  place.locked = isLocked;
  place.element.classList.toggle("locked", isLocked);
  lockButton.setAttribute("aria-pressed", String(isLocked));
  numberX.input.disabled = isLocked;
  numberY.input.disabled = isLocked;
  place.paint();
  status(isLocked ? "The place is locked. Random now varies the character." : "The place is free.");
}

function random() {
  if (!model.facts) return;
  const dice = (low, high) => low + Math.random() * (high - low);
  if (!place.locked) recipe.change({ "latent.x": Math.floor(dice(0, 100000)), "latent.y": 0, "latent.ws": "" });
  else {
    const values = { "truncation.psi": Number(dice(0.4, 1.1).toFixed(2)) };
    if (model.facts.has_noise) Object.assign(values, { "noise.seed": Math.floor(dice(0, 100000)) });
    if (model.facts.c_dim > 0) values["latent.classes"] = [[Math.floor(dice(0, model.facts.c_dim)), 1]];
    recipe.change(values);
  }
  commit();
}
lockButton.setAttribute("aria-pressed", "false");

// ---- the controls of the model at hand ------------------------------------------------------------------------------
const column = h("div", { class: "studio-side", role: "group", "aria-label": "Controls" });
const modelParts = h("div", { class: "studio-parts" });
let panel = null;
let placeKey = null;

function build(facts) {
  panel = window.studio.recipePanel(facts);
  modelParts.replaceChildren(...panel.elements);
  column.inert = false;
  bar.inert = false;
  place.forget();
  placeKey = null;
  if (recipe.value) follow(recipe.value);
}

function follow(value) {
  place.set(value.latent.x, value.latent.y);
  for (const [box, next] of [[numberX, value.latent.x], [numberY, value.latent.y]]) if (document.activeElement !== box.input) box.show(next);
  panel?.follow(value);
  const rest = { ...value, latent: { ...value.latent, x: 0, y: 0, ws: "" }, mixing: [], blends: [] };
  if (placeKey && same(rest, placeKey)) return;
  placeKey = rest;
  place.depend(model.facts ? JSON.stringify(rest) : "");
}

on("model", build);
on("loading", () => { stage.loading = new Promise((resolve) => { stage.loaded = resolve; }); stage.waiting(stage.loading); });
on("loaded", () => stage.loaded?.());
stage.empty.hidden = true;
stage.waiting(session.ready);
on("ready", ({ model: facts }) => {
  crispButton.hidden = !session.settings.crisp.length;
  stage.empty.hidden = !!facts;
  bar.inert = !facts;
});
on("models", () => { if (!model.facts) { const first = session.models.find((entry) => entry.kind === "generator"); if (first) model.choose(first.name); } });

keys.register({ key: "r", title: "Random", tab: "explore", run: random });
keys.register({ key: "l", title: "Lock the place", tab: "explore", run: () => lock(!place.locked) });
keys.register({ key: "z", title: "Undo", run: () => step("undo") });
keys.register({ key: "z", shift: true, title: "Redo", run: () => step("redo") });
keys.register({ key: "s", title: "Save", tab: "explore", run: save });
keys.register({ key: "c", title: "Crisp or smooth", tab: "explore", run: () => session.settings.crisp.length && setCrisp(!isCrisp) });

column.inert = true;
column.append(
  controls.group("Place", place.element, h("div", { class: "studio-row place" }, controls.field("Seed", numberX, "Which picture: every whole number is one; between them they blend"),
    controls.field("Row", numberY, "Down the plane: one row is 100 seeds further"), randomButton, lockButton)),
  modelParts,
);
root.append(h("div", { class: "studio-stage" }, stage.element, bar), column);
window.studio.mounted(element);
