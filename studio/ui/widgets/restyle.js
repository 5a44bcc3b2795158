const { h, on, emit, call, guarded, Refused, latestWins, controls, session, status, keys, drops, photos: arrivals, tabs, decode, clone, Viewer, holdButton, restyleWishes } = window.studio;
const { keyOf, styleOf } = restyleWishes;
const root = element.querySelector(".studio-widget");
const AT = "studio.restyle.at";
const LIKE = "studio.restyle.like";
const LARGE = 600_000;
const SKETCH = 800;
const SHOWN = 4;

const state = { photos: [], at: "", styles: [], batchNorm: {}, like: null };
const current = () => state.photos.find((photo) => photo.id === state.at) || null;
const read = (key) => { try { return JSON.parse(localStorage.getItem(key)); } catch { return null; } };

// ---- the picture ------------------------------------------------------------------------------------------------------
const chooser = h("input", { type: "file", multiple: true, accept: "image/*", hidden: true, onchange: () => { drops.deliver([...chooser.files]); chooser.value = ""; } });
const chooseButton = (label, kind) => controls.button({ label, kind, icon: kind ? null : "plus", onClick: () => chooser.click() });
const emptyBox = h("div");
const viewer = new Viewer({ label: "Before and after", empty: emptyBox });

function fillEmpty() {
  const lines = state.styles.length
    ? [h("h2", { text: "Drop a photo" }), h("p", { text: `One or several, anywhere on this page. They come back repainted at their own size.${session.settings.public ? " They are forgotten when you leave." : ""}` }), chooseButton("Choose photos", "primary")]
    : [h("h2", { text: "Bring a style" }), h("p", { text: "Photos are repainted by a translator: a CycleGAN, pix2pix or CUT model. None is installed yet." }), controls.button({ label: "Go to Models", kind: "primary", onClick: () => tabs.show("models") })];
  emptyBox.replaceChildren(...lines);
}

async function show(photo) {
  if (photo !== current()) return;
  if (!photo.before && !(await fetchOriginal(photo))) return;
  if (photo !== current()) return;
  viewer.pair(photo.before, photo.after, { width: photo.width, height: photo.height, words: `${photo.name}, ${photo.recipe.model.name}`, isSketch: photo.isSketch });
  state.seen = [photo, ...(state.seen || []).filter((other) => other !== photo)];
  for (const old of state.seen.splice(SHOWN)) Object.assign(old, { before: null, after: null, done: "" });
}

/** Fetch a photo itself; whoever asks meanwhile waits for the same answer. */
function fetchOriginal(photo) {
  photo.arriving ||= (async () => {
    const answer = await attempt(() => call(server, "original", { id: photo.id }));
    photo.before = answer ? await decode(answer.url) : null;
    photo.arriving = null;
    return photo.before;
  })();
  return photo.arriving;
}

/** Draw small while the hand moves or before the full picture is made; the newest wishes win. */
const drawSketch = latestWins(sketch);

async function sketch({ photo, recipe }, isOutdated = () => false) {
  const box = viewer.frame.getBoundingClientRect();
  const size = Math.round(controls.clamp(Math.max(box.width, box.height) * (devicePixelRatio || 1), 256, SKETCH));
  const answer = await attempt(() => call(server, "sketch", { id: photo.id, recipe, size }));
  if (!answer || photo.done === keyOf(photo.recipe)) return;
  const image = await decode(answer.url);
  if (photo.done === keyOf(photo.recipe) || (isOutdated() && photo.after === null)) return;
  Object.assign(photo, { after: image, isSketch: photo.width * photo.height > LARGE, done: "" });
  await show(photo);
}

// ---- the work -----------------------------------------------------------------------------------------------------------
/** Run a task; a refusal is shown in the status line and beside the controls. */
async function attempt(task) {
  try {
    const answer = await task();
    problem.hidden = true;
    return answer;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    status(error.message, "error");
    problem.textContent = error.message;
    problem.hidden = false;
    return undefined;
  }
}

/** Ask until the answer is there; null when meanwhile something else is wanted. */
async function poll(name, photo, payload, isWanted) {
  for (;;) {
    const answer = await attempt(() => call(server, name, { id: photo.id, ...payload }));
    if (!isWanted()) return null;
    if (!answer || !answer.pending) return answer;
    Object.assign(photo, { share: answer.share, left: answer.left });
    showBusy();
  }
}

async function develop(photo, { gather = true } = {}) {
  const wanted = clone(photo.recipe);
  const key = keyOf(wanted);
  if (!wanted.model.name || photo.busy === key) return;
  if (photo.done === key) {
    photo.busy = "";
    showBusy();
    return;
  }
  Object.assign(photo, { busy: key, since: performance.now(), share: null, left: 0, failed: "" });
  setTimeout(showBusy, 210);
  if (photo === current() && photo.width * photo.height > LARGE && photo.style !== styleOf(wanted)) {
    await sketch({ photo, recipe: wanted });
    if (photo.busy !== key) return;
  }
  const answer = await poll("develop", photo, { recipe: wanted, gather }, () => photo.busy === key);
  if (answer === null) return;
  photo.busy = "";
  if (answer) await developed(photo, wanted, answer);
  else photo.failed = key;
  showBusy();
  drawRow();
  pump();
}

async function developed(photo, recipe, answer) {
  const image = await decode(answer.url);
  if (answer.item) emit("picture-made", answer.item);
  if (answer.speed) emit("speed", answer.speed);
  photo.thumbnail = answer.thumbnail;
  state.batchNorm[recipe.model.name] = answer.batch_norm;
  photo.settled = recipe;
  if (keyOf(photo.recipe) !== keyOf(recipe)) return;
  Object.assign(photo, { after: image, done: keyOf(recipe), style: styleOf(recipe), isSketch: false });
  follow();
  await show(photo);
}

/** Photos that nobody looks at are made one after the other, when nothing else is. */
function pump() {
  if (state.photos.some((photo) => photo.busy)) return;
  const next = state.photos.find((photo) => photo.recipe.model.name && !photo.settled && photo.failed !== keyOf(photo.recipe));
  if (next) develop(next);
}

function showBusy() {
  const photo = current();
  const isBusy = !!photo && ((!!photo.busy && performance.now() - photo.since > 200) || !!photo.saving);
  viewer.busy(isBusy, isBusy && !photo.saving ? stop : null);
  if (isBusy) viewer.progress(photo.share ?? null, photo.left ? (photo.share > 0.96 ? "almost there" : `about ${Math.ceil(photo.left)} s left`) : photo.saving ? "full quality" : "");
  for (const tile of row.querySelectorAll("[data-id]")) tile.toggleAttribute("data-busy", !!state.photos.find((entry) => entry.id === tile.dataset.id)?.busy);
}

function stop() {
  const photo = current();
  if (!photo?.busy) return;
  photo.failed = photo.busy;
  photo.busy = "";
  guarded(() => call(server, "cancel", { id: photo.id }));
  if (photo.settled) {
    photo.recipe = clone(photo.settled);
    develop(photo, { gather: false });
  } else photo.after = null;
  follow();
  show(photo);
  showBusy();
  status("Cancelled.");
}

// ---- wishes -------------------------------------------------------------------------------------------------------------
/** Change what is wanted of the photo at hand. isDone: the hand let go, draw in full and make it one undo step. */
function wish(values, { isDone = true, style = null } = {}) {
  const photo = current();
  const like = photo ? photo.recipe : state.like;
  const next = clone(like);
  Object.assign(next.restyle, values);
  if (style) next.model = { name: style.name, sha256: style.sha256 };
  if (!photo) {
    remember(next);
    follow();
    return;
  }
  if (isDone) record(photo, next);
  else photo.from ||= clone(photo.recipe);
  photo.recipe = next;
  remember(next);
  follow();
  if (isDone) develop(photo);
  else drawSketch({ photo, recipe: clone(next) });
}

const commit = () => wish({});

function record(photo, next) {
  const from = photo.from || photo.recipe;
  photo.from = null;
  if (keyOf(from) === keyOf(next)) return;
  photo.past = [...(photo.past || []), clone(from)].slice(-200);
  photo.future = [];
}

function travel(from, to, words) {
  const photo = current();
  if (!photo?.[from]?.length) return status(`There is nothing to ${words}.`);
  photo[to] = [...(photo[to] || []), clone(photo.recipe)];
  photo.recipe = photo[from].pop();
  follow();
  develop(photo);
  return status(words === "undo" ? "Undone." : "Done again.");
}

function remember(recipe) {
  state.like = clone(recipe);
  localStorage.setItem(LIKE, JSON.stringify({ model: recipe.model, restyle: { ...recipe.restyle, source_name: "", source_sha256: "", mask: "" } }));
}

function sameForAll() {
  const photo = current();
  for (const other of state.photos) {
    if (other === photo) continue;
    const next = { ...clone(other.recipe), model: clone(photo.recipe.model), restyle: { ...other.recipe.restyle, ...clone(restyleWishes.shared(photo.recipe.restyle)) } };
    record(other, next);
    if (keyOf(next) !== keyOf(other.recipe)) Object.assign(other, { recipe: next, settled: null, busy: "" });
  }
  status(`All ${state.photos.length} photos get this style.`);
  pump();
}

async function save(list) {
  for (const photo of list) {
    if (!photo.recipe.model.name || photo.saving) continue;
    Object.assign(photo, { saving: true, share: null, left: 0 });
    setTimeout(showBusy, 210);
    const answer = await poll("save", photo, { recipe: clone(photo.recipe) }, () => true);
    photo.saving = false;
    showBusy();
    if (!answer) return;
    if (answer.download) h("a", { href: answer.download, download: answer.id }).click();
    status(answer.say);
    emit("gallery");
  }
}

// ---- photos come and go ---------------------------------------------------------------------------------------------------
arrivals.handle = async (list) => {
  if (tabs.current() !== "restyle") await tabs.show("restyle");
  await ready;
  const refused = [];
  let first = null;
  for (const file of list) {
    const answer = await attempt(() => call(server, "arrive", { path: file.path, name: file.name, recipe: state.like, as_photo: !!file.asPhoto }));
    if (!answer) refused.push(problem.textContent);
    else if (answer.missing) ask(answer.say, file);
    else {
      first ||= take(answer.photo);
      if (first.id !== answer.photo.id) take(answer.photo);
      status(answer.say);
    }
  }
  if (first) select(first);
  if (refused.length) {
    problem.textContent = refused.join(" ");
    problem.hidden = false;
    status(problem.textContent, "error");
  }
};

arrivals.reopen = async (item) => {
  await ready;
  const answer = await attempt(() => call(server, "reopen", { recipe: item.recipe }));
  if (!answer) return;
  if (answer.missing) ask(answer.say.replace("This picture", item.name || "This picture"), null);
  else {
    status(answer.say);
    select(take(answer.photo));
  }
};

/** Put a photo that the server described into the row, or bring the one that is there up to date. */
function take(entry) {
  const known = state.photos.find((photo) => photo.id === entry.id);
  const recipe = entry.recipe.restyle ? entry.recipe : { ...entry.recipe, restyle: clone(state.like.restyle) };
  asking.hidden = true;
  if (known) {
    record(known, recipe);
    known.recipe = recipe;
    return known;
  }
  const photo = { ...entry, recipe, before: null, after: null, done: "", style: "", busy: "", settled: null };
  state.photos.push(photo);
  drawRow();
  return photo;
}

function select(photo) {
  state.at = photo?.id || "";
  sessionStorage.setItem(AT, state.at);
  if (photo) {
    remember(photo.recipe);
    show(photo);
    develop(photo, { gather: !photo.settled });
  } else viewer.clear();
  follow();
  drawRow();
  showBusy();
}

async function putAway(photo) {
  const answer = await guarded(() => call(server, "put_away", { id: photo.id, on: true }));
  if (!answer) return;
  const place = state.photos.indexOf(photo);
  state.photos.splice(place, 1);
  state.away = { photo, place };
  bringBack.hidden = false;
  if (photo.id === state.at) select(state.photos[Math.min(place, state.photos.length - 1)] || null);
  else drawRow();
  status(answer.say);
  (state.photos.length ? row.querySelector("button") : bringBack).focus();
}

async function undoAway() {
  const { photo, place } = state.away;
  const answer = await guarded(() => call(server, "put_away", { id: photo.id, on: false }));
  if (!answer) return;
  state.photos.splice(place, 0, photo);
  bringBack.hidden = true;
  select(photo);
  status(answer.say);
}

/** Ask for the photo that a restyled picture was made from; or take the picture itself as a photo. */
function ask(words, file) {
  askWords.textContent = words;
  asPhoto.hidden = !file;
  asPhoto.onclick = () => {
    asking.hidden = true;
    arrivals.handle([{ ...file, asPhoto: true }]);
  };
  asking.hidden = false;
  status(words);
}

const askWords = h("p");
const asPhoto = controls.button({ label: "Restyle it as it is", help: "Takes the picture itself as a photo" });
const asking = h("div", { class: "studio-asking", role: "note", hidden: true }, askWords, asPhoto, controls.button({ label: "Close", kind: "quiet", icon: "close", iconOnly: true, onClick: () => { asking.hidden = true; } }));
const row = h("div", { class: "studio-photos", role: "list", "aria-label": "Photos" });
const addButton = h("button", { type: "button", class: "add", "aria-label": "Add photos", onclick: () => chooser.click() }, controls.icon("plus"));
const bringBack = controls.button({ label: "Undo remove", kind: "quiet", icon: "undo", onClick: undoAway });
bringBack.hidden = true;
const rowLine = h("div", { class: "studio-photo-line", hidden: true }, row, bringBack);

function drawRow() {
  const focused = document.activeElement?.closest?.(".studio-photos [data-id]")?.dataset.id;
  row.replaceChildren(...state.photos.map((photo) => h("div", { class: "studio-photo", role: "listitem", "data-id": photo.id, "data-busy": photo.busy ? "1" : null },
    h("button", { type: "button", class: "picture", title: photo.name, "aria-label": photo.name, "aria-pressed": String(photo.id === state.at), onclick: () => select(photo) }, h("img", { src: photo.thumbnail, alt: "", draggable: false })),
    h("button", { type: "button", class: "away", "aria-label": `Remove ${photo.name}`, onclick: () => putAway(photo) }, controls.icon("close")))), addButton);
  rowLine.hidden = !state.photos.length && bringBack.hidden;
  saveAll.hidden = state.photos.length < 2;
  forAll.hidden = state.photos.length < 2;
  if (focused) row.querySelector(`[data-id="${CSS.escape(focused)}"] .picture`)?.focus();
}
row.addEventListener("keydown", (event) => {
  const all = [...row.querySelectorAll(".picture")];
  const at = all.indexOf(event.target);
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (at < 0 || (!step && event.key !== "Delete")) return;
  event.preventDefault();
  if (step) all[at + step]?.focus();
  else putAway(state.photos[at]);
});

// ---- controls ---------------------------------------------------------------------------------------------------------------
const tileBox = h("div", { class: "studio-styles", role: "radiogroup", "aria-label": "Style" });
const direction = h("p", { class: "studio-direction" });
const noStyles = h("p", { class: "studio-quiet", text: "None is installed yet." });
const tileUrls = new Map();

function drawStyles(models) {
  state.styles = models.filter((entry) => entry.kind === "translator");
  if (state.like && !state.styles.some((style) => style.name === state.like.model.name)) state.like.model = state.styles.length ? { name: state.styles[0].name, sha256: state.styles[0].sha256 } : { name: "", sha256: "" };
  tileBox.replaceChildren(...state.styles.map((style) => h("button", { type: "button", role: "radio", class: "studio-style", "data-name": style.name, title: style.name, onclick: () => wish({}, { style }) },
    h("img", { alt: "", src: tileUrls.get(style.sha256 || style.name) || null, hidden: !tileUrls.has(style.sha256 || style.name) }), h("span", { text: wordsOf(style) }))));
  noStyles.hidden = state.styles.length > 0;
  fillEmpty();
  follow();
  fetchTiles();
}

const wordsOf = (style) => style.direction || (/ to /.test(style.summary) ? style.summary : style.title);

let isFetching = false;
async function fetchTiles() {
  if (isFetching || tabs.current() !== "restyle") return;
  isFetching = true;
  for (const style of state.styles) {
    const id = style.sha256 || style.name;
    if (tileUrls.has(id)) continue;
    const answer = await call(server, "tile", { name: style.name }).catch((error) => {
      if (!(error instanceof Refused)) throw error;
      return null;
    });
    tileUrls.set(id, answer?.url || "");
    const image = tileBox.querySelector(`[data-name="${CSS.escape(style.name)}"] img`);
    if (image && answer) Object.assign(image, { src: answer.url, hidden: false });
  }
  isFetching = false;
}

tileBox.addEventListener("keydown", (event) => {
  const all = [...tileBox.children];
  const across = Math.max(1, getComputedStyle(tileBox).gridTemplateColumns.split(" ").length);
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key];
  const next = all[all.indexOf(document.activeElement) + step];
  if (!step) return;
  event.preventDefault();
  next?.focus();
});

let wishes = null;
/** The controls know their ranges and help only when the session is there. */
function fillAmount() {
  wishes = restyleWishes.build({ bounds: session.bounds, wish, commit, viewer, styles: () => state.styles, words: wordsOf });
  amount.append(...wishes.amount, h("div", {}, forAll));
  more.append(...wishes.more);
  where.append(...wishes.where);
}
const forAll = controls.button({ label: "Same for all", help: "Gives every photo of the row this style, strength and colours", onClick: sameForAll });
const problem = h("p", { class: "studio-problem", role: "alert", hidden: true });
const aboutName = h("b");
const aboutSize = h("span");
const aboutNotes = h("p", { class: "studio-quiet" });
const about = h("div", { class: "studio-about" }, h("div", {}, aboutName, aboutSize), aboutNotes);
const amount = controls.group("Amount");
const more = controls.group("Strokes and styles");
const where = controls.group("Where");
const aboutGroup = controls.group("Photo", about);
const side = h("div", { class: "studio-side" }, h("div", { class: "studio-parts" }, controls.group("Style", tileBox, noStyles, direction, problem), amount, more, where, aboutGroup));

const undoButton = controls.button({ label: "Undo", icon: "undo", iconOnly: true, kind: "quiet", key: "Z", onClick: () => travel("past", "future", "undo") });
const redoButton = controls.button({ label: "Redo", icon: "redo", iconOnly: true, kind: "quiet", key: "Shift+Z", onClick: () => travel("future", "past", "redo") });
const compareButton = holdButton({ label: "Hold to compare", help: "Shows the photo alone for as long as it is held", icon: "eye", onHold: (isHeld) => viewer.hold(isHeld) });
const zoomOut = controls.button({ label: "Smaller", kind: "quiet zoom", icon: "minus", iconOnly: true, key: "-", onClick: () => viewer.zoomBy(1 / 1.5) });
const zoomIn = controls.button({ label: "Larger", kind: "quiet zoom", icon: "plus", iconOnly: true, key: "+", onClick: () => viewer.zoomBy(1.5) });
const zoomButton = controls.button({ label: "100%", kind: "quiet percent", help: "All of the picture, or pixel by pixel. Wheel or pinch to zoom, drag to move", key: "0", onClick: () => viewer.toggleZoom() });
const saveButton = controls.button({ label: "Save", kind: "primary", icon: "save", help: "Writes the picture in full quality to the gallery", key: "S", onClick: () => current() && save([current()]) });
const saveAll = controls.button({ label: "Save all", help: "Writes every photo of the row, each as it is set", onClick: () => save([...state.photos]) });
saveAll.hidden = true;
viewer.onView = ({ percent }) => {
  zoomButton.querySelector("span").textContent = `${percent}%`;
  wishes?.place();
};

function follow() {
  const photo = current();
  const recipe = photo?.recipe || state.like;
  undoButton.disabled = !photo?.past?.length;
  redoButton.disabled = !photo?.future?.length;
  for (const button of [compareButton, zoomOut, zoomIn, zoomButton, saveButton]) button.disabled = !photo || !state.styles.length;
  for (const group of [amount, more, where]) {
    group.inert = !photo || !state.styles.length;
    group.classList.toggle("off", group.inert);
  }
  aboutGroup.hidden = !photo;
  if (photo) {
    aboutName.textContent = photo.name;
    aboutName.title = photo.name;
    aboutSize.textContent = `${photo.width} x ${photo.height}`;
    aboutNotes.textContent = photo.notes.join(" ");
    aboutNotes.hidden = !photo.notes.length;
  }
  if (!recipe || !wishes) return;
  wishes.set(recipe, photo, { hasBatchNorm: !!photo && !!state.batchNorm[recipe.model.name] });
  const all = [...tileBox.children];
  const chosen = all.find((tile) => tile.dataset.name === recipe.model.name);
  for (const tile of all) {
    tile.setAttribute("aria-checked", String(tile === chosen));
    tile.tabIndex = tile === (chosen || all[0]) ? 0 : -1;
  }
  const style = state.styles.find((entry) => entry.name === recipe.model.name);
  direction.textContent = style ? (wordsOf(style) === style.title ? style.summary : `${wordsOf(style)}: ${style.title}`) : state.styles.length ? "Choose a style." : "";
  direction.title = direction.textContent;
}

// ---- put together -------------------------------------------------------------------------------------------------------------
root.append(
  h("div", { class: "studio-stage" }, viewer.element,
    h("div", { class: "studio-actions" }, h("div", {}, undoButton, redoButton, compareButton), h("div", {}, zoomOut, zoomButton, zoomIn), h("div", {}, saveAll, saveButton)),
    asking, rowLine, chooser),
  side);

for (const [key, title, run] of [
  ["z", "Undo", () => undoButton.click()], ["s", "Save", () => saveButton.click()],
  ["+", "Larger", () => zoomIn.click()], ["-", "Smaller", () => zoomOut.click()], ["0", "All of it, or pixel by pixel", () => zoomButton.click()],
]) keys.register({ key, title, tab: "restyle", run });
keys.register({ key: "z", shift: true, title: "Redo", tab: "restyle", run: () => redoButton.click() });

let isReady;
const ready = new Promise((resolve) => { isReady = resolve; });
on("models", drawStyles);
on("tab", (id) => { if (id === "restyle") fetchTiles(); });
on("cancel", () => { if (tabs.current() === "restyle") stop(); });
on("style", async (name) => {
  await ready;
  const style = state.styles.find((entry) => entry.name === name);
  if (style) wish({}, { style });
});
on("ready", async () => {
  if (state.like) return;
  const answer = await guarded(() => call(server, "desk"));
  if (!answer) return;
  fillAmount();
  state.like = { ...clone(session.defaults), ...(read(LIKE) || {}) };
  state.like.restyle = { ...restyleWishes.plain(session.bounds), ...(state.like.restyle || {}) };
  if (!state.styles.some((style) => style.name === state.like.model.name) && state.styles.length) state.like.model = { name: state.styles[0].name, sha256: state.styles[0].sha256 };
  answer.photos.forEach(take);
  isReady();
  const at = sessionStorage.getItem(AT);
  select(state.photos.find((photo) => photo.id === at) || state.photos[0] || null);
});
drawRow();
follow();
fillEmpty();
window.studio.mounted(element);
