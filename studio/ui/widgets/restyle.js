const { h, on, emit, call, guarded, Refused, latestWins, controls, session, status, keys, drops, photos: arrivals, tabs, decode, clone, Viewer, holdButton, restyleWishes, PhotoRow, Notice, FilmDesk, StylePicker, styleWords, Keeper } = window.studio;
const { keyOf, styleOf } = restyleWishes;
const root = element.querySelector(".studio-widget");
const AT = "studio.restyle.at";
const LIKE = "studio.restyle.like";
const LARGE = 600_000;
const SKETCH = 800;
const SCRUB = 640;
const SHOWN = 4;

const state = { photos: [], at: "", styles: [], batchNorm: {}, like: null };
const current = () => state.photos.find((photo) => photo.id === state.at) || null;
/** What a picture of a photo depends on: its wishes, and of a film also the frame. */
const workOf = (photo, recipe = photo.recipe) => `${keyOf(recipe)}@${photo.frame}`;
const lookOf = (photo, recipe) => `${styleOf(recipe)}@${photo.frame}`;
const read = (key) => { try { return JSON.parse(localStorage.getItem(key)); } catch { return null; } };

// ---- the picture ------------------------------------------------------------------------------------------------------
const chooser = h("input", { type: "file", multiple: true, accept: "image/*,video/*,.mkv,.avi,.mts,.m2ts,.wmv,.flv", hidden: true, onchange: () => { drops.deliver([...chooser.files]); chooser.value = ""; } });
const chooseButton = (label, kind) => controls.button({ label, kind, icon: kind ? null : "plus", onClick: () => chooser.click() });
const emptyBox = h("div");
const viewer = new Viewer({ label: "Before and after", empty: emptyBox });

function fillEmpty() {
  const lines = state.styles.length
    ? [h("h2", { text: "Drop a photo or a film" }), h("p", { text: `One or several, or a folder, anywhere on this page. They come back repainted at their own size.${session.settings.public ? " They are forgotten when you leave." : ""}` }), chooseButton("Choose photos or films", "primary")]
    : [h("h2", { text: "Bring a style" }), h("p", { text: "Photos are repainted by a translator: a CycleGAN, pix2pix or CUT model. None is installed yet." }), controls.button({ label: "Go to Models", kind: "primary", onClick: () => tabs.show("models") })];
  emptyBox.replaceChildren(...lines);
}

async function show(photo) {
  if (photo !== current() || film.isWatching) return;
  if (!photo.before && !(await fetchOriginal(photo))) return;
  if (photo !== current() || film.isWatching || !photo.before) return;
  pair(photo, photo.before, photo.after, photo.isSketch);
  state.seen = [photo, ...(state.seen || []).filter((other) => other !== photo)];
  for (const old of state.seen.splice(SHOWN)) Object.assign(old, { before: null, after: null, done: "" });
}

function pair(photo, before, after, isSketch = false) {
  const keepsView = !!photo.film && state.shown === photo.id;
  state.shown = photo.id;
  viewer.pair(before, after, { width: photo.width, height: photo.height, words: `${photo.name}, ${photo.recipe.model.name}`, isSketch, keepsView });
}

/** Fetch a photo itself, or the frame of a film; whoever asks meanwhile waits for the same answer. */
function fetchOriginal(photo) {
  const { id, frame } = photo;
  if (photo.arriving?.frame === frame) return photo.arriving.image;
  const image = (async () => {
    const answer = await attempt(() => (photo.film ? call(server, "frame", { id, frame }) : call(server, "original", { id })));
    const found = answer ? await decode(answer.url) : null;
    if (photo.arriving?.frame === frame) photo.arriving = null;
    if (photo.frame === frame) photo.before = found;
    return found;
  })();
  photo.arriving = { frame, image };
  return image;
}

/** Another moment of the film: small frames while the hand moves, then this one before and after. */
function seek(frame, isDone) {
  const photo = current();
  if (photo.frame !== frame) Object.assign(photo, { frame, before: null, after: null, done: "", style: "" });
  if (!isDone) return scrub({ photo, frame });
  show(photo);
  return develop(photo);
}

const scrub = latestWins(async ({ photo, frame }) => {
  const answer = await attempt(() => call(server, "frame", { id: photo.id, frame, size: SCRUB }));
  const image = answer && (await decode(answer.url));
  if (image && photo === current() && !photo.before && !film.isWatching) pair(photo, image, null);
});

/** Draw small while the hand moves or before the full picture is made; the newest wishes win. */
const drawSketch = latestWins(sketch);

async function sketch({ photo, recipe }, isOutdated = () => false) {
  const box = viewer.frame.getBoundingClientRect();
  const size = Math.round(controls.clamp(Math.max(box.width, box.height) * (devicePixelRatio || 1), 256, SKETCH));
  const { frame } = photo;
  const answer = await attempt(() => call(server, "sketch", { id: photo.id, recipe, size, frame }));
  if (!answer || photo.frame !== frame || photo.done === workOf(photo)) return;
  const image = await decode(answer.url);
  if (photo.frame !== frame || photo.done === workOf(photo) || (isOutdated() && photo.after === null)) return;
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
  const key = workOf(photo, wanted);
  if (!wanted.model.name || photo.busy === key) return;
  if (photo.done === key) {
    photo.busy = "";
    showBusy();
    return;
  }
  Object.assign(photo, { busy: key, since: performance.now(), share: null, left: 0, failed: "" });
  setTimeout(showBusy, 210);
  if (photo === current() && photo.width * photo.height > LARGE && photo.style !== lookOf(photo, wanted)) {
    await sketch({ photo, recipe: wanted });
    if (photo.busy !== key) return;
  }
  const answer = await poll("develop", photo, { recipe: wanted, gather, frame: photo.frame }, () => photo.busy === key);
  if (answer === null) return;
  photo.busy = "";
  if (answer) await developed(photo, wanted, key, answer);
  else photo.failed = key;
  showBusy();
  drawRow();
  pump();
}

async function developed(photo, recipe, key, answer) {
  const image = await decode(answer.url);
  if (answer.item) emit("picture-made", answer.item);
  if (answer.speed) emit("speed", answer.speed);
  photo.thumbnail = answer.thumbnail;
  state.batchNorm[recipe.model.name] = answer.batch_norm;
  photo.settled = recipe;
  if (workOf(photo) !== key) return;
  Object.assign(photo, { after: image, done: key, style: lookOf(photo, recipe), isSketch: false });
  if (photo.film) film.tell(photo);
  follow();
  await show(photo);
}

/** Photos that nobody looks at are made one after the other, when nothing else is. */
function pump() {
  if (state.photos.some((photo) => photo.busy)) return;
  const next = state.photos.find((photo) => photo.recipe.model.name && !photo.settled && photo.failed !== workOf(photo));
  if (next) develop(next);
}

function showBusy() {
  const photo = current();
  const isBusy = !!photo && ((!!photo.busy && performance.now() - photo.since > 200) || !!photo.saving);
  viewer.busy(isBusy, isBusy && !photo.saving ? stop : null);
  if (isBusy) viewer.progress(photo.share ?? null, photo.left ? (photo.share > 0.96 ? "almost there" : `about ${Math.ceil(photo.left)} s left`) : photo.saving ? "full quality" : "");
  row.busy();
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
  film.leave();
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
  localStorage.setItem(LIKE, JSON.stringify({ model: recipe.model, restyle: { ...recipe.restyle, source_name: "", source_sha256: "", mask: "", start: 0, end: null } }));
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

/** What the keeper asks of the server: full quality of a photo, which takes a while, a film for the list of jobs, a sheet. */
async function askToKeep(name, photo, payload = {}) {
  if (name === "sheet") return attempt(() => call(server, name, payload));
  if (name === "order_film") return attempt(() => call(server, name, { id: photo.id, recipe: { ...clone(photo.recipe), restyle: { ...clone(photo.recipe.restyle), ...payload } } }));
  Object.assign(photo, { saving: true, share: null, left: 0 });
  setTimeout(showBusy, 210);
  const answer = await poll("save", photo, { recipe: clone(photo.recipe) }, () => true);
  photo.saving = false;
  showBusy();
  return answer;
}

// ---- photos come and go ---------------------------------------------------------------------------------------------------
/** Take files in that were uploaded. isMore: others of the same drop came before, so what is looked at stays. Throws Refused. */
arrivals.handle = async (list, point, { isMore = false } = {}) => {
  if (tabs.current() !== "restyle") await tabs.show("restyle");
  await ready;
  for (const file of list) {
    const answer = await call(server, "arrive", { path: file.path, name: file.name, recipe: state.like, as_photo: !!file.asPhoto });
    if (answer.missing) {
      ask(answer.say, file);
      continue;
    }
    const photo = take(answer.photo);
    if (photo.film) photo.file = file.file;
    status(answer.say);
    if (isMore) pump();
    else select(photo);
    isMore = true;
  }
};

/** Say which files of a drop could not be taken in. */
arrivals.report = (refused, total) => notice.show(`${refused.length} of ${total} files could not be opened:`, { lines: refused, kind: "error" });

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
  notice.close();
  if (known) {
    record(known, recipe);
    Object.assign(known, { recipe, film: entry.film && { ...known.film, ...entry.film } });
    return known;
  }
  const photo = { ...entry, recipe, before: null, after: null, done: "", style: "", busy: "", settled: null, frame: entry.film?.frame || 0 };
  state.photos.push(photo);
  drawRow();
  return photo;
}

function select(photo) {
  film.leave({ isQuiet: true });
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
  row.bringBack.hidden = false;
  if (photo.id === state.at) select(state.photos[Math.min(place, state.photos.length - 1)] || null);
  else drawRow();
  status(answer.say);
  row.focus();
}

async function undoAway() {
  const { photo, place } = state.away;
  const answer = await guarded(() => call(server, "put_away", { id: photo.id, on: false }));
  if (!answer) return;
  state.photos.splice(place, 0, photo);
  row.bringBack.hidden = true;
  select(photo);
  status(answer.say);
}

/** Ask for the photo that a restyled picture was made from; or take the picture itself as a photo. */
function ask(words, file) {
  const asPhoto = controls.button({ label: "Restyle it as it is", help: "Takes the picture or film itself", onClick: () => {
    notice.close();
    attempt(() => arrivals.handle([{ ...file, asPhoto: true }]));
  } });
  notice.show(words, { buttons: file ? [asPhoto] : [] });
}

const notice = new Notice();
const keeper = new Keeper({ ask: askToKeep, why: () => problem.textContent, notice, onOrder: (photo) => { if (photo === current()) film.set(photo); } });
const row = new PhotoRow({ onSelect: select, onAway: putAway, onAdd: () => chooser.click(), onBack: undoAway });

function drawRow() {
  row.draw(state.photos, state.at);
  saveAll.hidden = state.photos.length < 2;
  forAll.hidden = state.photos.length < 2;
}

// ---- controls ---------------------------------------------------------------------------------------------------------------
const picker = new StylePicker({
  onChoose: (style) => wish({}, { style }),
  fetch: (name) => call(server, "tile", { name }).catch((error) => {
    if (!(error instanceof Refused)) throw error;
    return null;
  }),
});

function drawStyles(models) {
  state.styles = models.filter((entry) => entry.kind === "translator");
  if (state.like && !state.styles.some((style) => style.name === state.like.model.name)) state.like.model = state.styles.length ? { name: state.styles[0].name, sha256: state.styles[0].sha256 } : { name: "", sha256: "" };
  picker.draw(state.styles);
  fillEmpty();
  follow();
}

let wishes = null;
/** The controls know their ranges and help only when the session is there. */
function fillAmount() {
  film.fill(session.bounds);
  wishes = restyleWishes.build({ bounds: session.bounds, wish, commit, viewer, styles: () => state.styles, words: styleWords });
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
const film = new FilmDesk({ viewer, server, wish, commit, onFrame: seek, onBack: () => { show(current()); develop(current()); }, onTry: (photo, part) => keeper.order(photo, part) });
const side = h("div", { class: "studio-side" }, h("div", { class: "studio-parts" }, film.group, controls.group("Style", ...picker.elements, problem), amount, more, where, aboutGroup));

const undoButton = controls.button({ label: "Undo", icon: "undo", iconOnly: true, kind: "quiet", key: "Z", onClick: () => travel("past", "future", "undo") });
const redoButton = controls.button({ label: "Redo", icon: "redo", iconOnly: true, kind: "quiet", key: "Shift+Z", onClick: () => travel("future", "past", "redo") });
const compareButton = holdButton({ label: "Hold to compare", help: "Shows the photo alone for as long as it is held", icon: "eye", onHold: (isHeld) => viewer.hold(isHeld) });
const zoomOut = controls.button({ label: "Smaller", kind: "quiet zoom", icon: "minus", iconOnly: true, key: "-", onClick: () => viewer.zoomBy(1 / 1.5) });
const zoomIn = controls.button({ label: "Larger", kind: "quiet zoom", icon: "plus", iconOnly: true, key: "+", onClick: () => viewer.zoomBy(1.5) });
const zoomButton = controls.button({ label: "100%", kind: "quiet percent", help: "All of the picture, or pixel by pixel. Wheel or pinch to zoom, drag to move", key: "0", onClick: () => viewer.toggleZoom() });
const saveButton = controls.button({ label: "Save", kind: "primary", icon: "save", help: "Writes the picture in full quality to the gallery", key: "S", onClick: () => current() && keeper.keep([current()]) });
const filmButton = controls.button({ label: "Restyle film", kind: "primary", help: "Puts all of it into the job list; the result goes to the gallery", key: "S", onClick: () => current() && keeper.keep([current()]) });
filmButton.hidden = true;
const saveAll = controls.button({ label: "Save all", icon: "save", help: "Writes every photo of the row, each as it is set; films go to the job list", onClick: () => keeper.keep([...state.photos]) });
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
  for (const button of [compareButton, zoomOut, zoomIn, zoomButton, saveButton, filmButton]) button.disabled = !photo || !state.styles.length;
  for (const group of [amount, more, where]) {
    group.inert = !photo || !state.styles.length;
    group.classList.toggle("off", group.inert);
  }
  aboutGroup.hidden = !photo || !!photo.film;
  saveButton.hidden = !!photo?.film;
  filmButton.hidden = !photo?.film;
  film.set(photo?.film ? photo : null);
  if (photo) {
    aboutName.textContent = photo.name;
    aboutName.title = photo.name;
    aboutSize.textContent = `${photo.width} x ${photo.height}`;
    aboutNotes.textContent = photo.notes.join(" ");
    aboutNotes.hidden = !photo.notes.length;
  }
  if (!recipe || !wishes) return;
  wishes.set(recipe, photo, { hasBatchNorm: !!photo && !!state.batchNorm[recipe.model.name] });
  picker.mark(recipe.model.name);
}

// ---- put together -------------------------------------------------------------------------------------------------------------
root.append(
  h("div", { class: "studio-stage" }, viewer.element,
    h("div", { class: "studio-actions" }, h("div", {}, undoButton, redoButton, compareButton), h("div", {}, zoomOut, zoomButton, zoomIn), h("div", {}, saveAll, saveButton, filmButton)),
    film.line, notice.element, row.element, chooser),
  side);

for (const [key, title, run] of [
  ["z", "Undo", () => undoButton.click()], ["s", "Save, or restyle the film", () => (saveButton.hidden ? filmButton : saveButton).click()], [" ", "Play or pause the finished film", () => (film.isWatching ? film.pair.toggle() : false)],
  ["+", "Larger", () => zoomIn.click()], ["-", "Smaller", () => zoomOut.click()], ["0", "All of it, or pixel by pixel", () => zoomButton.click()],
]) keys.register({ key, title, tab: "restyle", run });
keys.register({ key: "z", shift: true, title: "Redo", tab: "restyle", run: () => redoButton.click() });

let isReady;
const ready = new Promise((resolve) => { isReady = resolve; });
on("models", drawStyles);
on("tab", (id) => {
  if (id === "restyle") picker.fill();
  else film.pair.pause();
});
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
  emit("jobs", {});
  isReady();
  const at = sessionStorage.getItem(AT);
  select(state.photos.find((photo) => photo.id === at) || state.photos[0] || null);
});
drawRow();
follow();
fillEmpty();
window.studio.mounted(element);
