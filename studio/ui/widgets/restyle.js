/* The Restyle tab: photos and films, their pictures, and the controls of the right column. It brings the desk (what is wished), the
 * developer (how pictures come about) and the controls together; what each of them does is told in assets/restyle_*.js. */
const { h, on, emit, model, call, guarded, Refused, controls, session, status, drops, tabs, clone, Viewer, restyleWishes, PhotoDesk, Developer, PhotoArrivals, RestyleActions, PhotoRow, Notice, FilmDesk, StylePicker, StyleLesson, styleWords, styleEntries, Keeper } = window.studio;
const root = element.querySelector(".studio-widget");
const desk = new PhotoDesk();
let isReady;
const ready = new Promise((resolve) => { isReady = resolve; });

// ---- the picture ------------------------------------------------------------------------------------------------------
const chooser = h("input", { type: "file", multiple: true, accept: "image/*,video/*,.mkv,.avi,.mts,.m2ts,.wmv,.flv", hidden: true, onchange: () => { drops.deliver([...chooser.files]); chooser.value = ""; } });
const chooseButton = (label, kind) => controls.button({ label, kind, icon: kind ? null : "plus", onClick: () => chooser.click() });
const emptyBox = h("div");
const viewer = new Viewer({ label: "Before and after", empty: emptyBox });

function fillEmpty() {
  const lines = desk.styles.length
    ? [h("h2", { text: "Drop a photo or a film" }), h("p", { text: `One or several, or a folder, anywhere on this page. They come back repainted at their own size.${session.settings.public ? " They are forgotten when you leave." : ""}` }), chooseButton("Choose photos or films", "primary")]
    : [h("h2", { text: "Bring a style" }), h("p", { text: "Photos are repainted by a translator: a CycleGAN, pix2pix or CUT model. None is installed yet." }), controls.button({ label: "Go to Models", kind: "primary", onClick: () => tabs.show("models") })];
  emptyBox.replaceChildren(...lines, examples);
}

/** The photos that come with the studio, already painted, while there is none on the desk; a click takes one. */
const examples = h("div", { class: "studio-examples", role: "group", "aria-label": "Photos to begin with", hidden: true });
async function fillExamples() {
  if (examples.children.length || desk.photos.length || tabs.current() !== "restyle") return;
  const { examples: found } = await call(server, "examples", {});
  const take = async ({ name }) => {
    const answer = await attempt(() => call(server, "take_example", { name }));
    if (!answer) return;
    status(answer.say);
    select(arrivals.take(answer.photo));
  };
  examples.replaceChildren(...found.map((example) => h("button", { type: "button", class: "studio-example", title: example.credit, onclick: () => take(example) },
    h("img", { alt: "", src: example.url }), h("span", { text: `${example.name.split(".")[0]}, ${example.style.replaceAll("-", " ")}` }))));
  examples.hidden = !found.length;
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

const developer = new Developer({
  server, desk, viewer, attempt,
  isWatching: () => film.isWatching,
  onBusy: () => row.busy(),
  onMade(photo) {
    if (photo.film) film.tell(photo);
    follow();
  },
  onEnd: () => drawRow(),
  onStop: () => follow(),
});

// ---- wishes -------------------------------------------------------------------------------------------------------------
/** Change what is wanted of the photo at hand. isDone: the hand let go, draw in full and make it one undo step. */
function wish(values, { isDone = true, style = null } = {}) {
  const photo = desk.current;
  film.leave();
  desk.wish(values, { isDone, style });
  follow();
  if (!photo) return;
  if (isDone) developer.develop(photo);
  else developer.drawSketch({ photo, recipe: clone(photo.recipe) });
}

const commit = () => wish({});

function travel(from, to, words) {
  if (!desk.travel(from, to)) return status(`There is nothing to ${words}.`);
  follow();
  developer.develop(desk.current);
  return status(words === "undo" ? "Undone." : "Done again.");
}

function sameForAll() {
  desk.share();
  status(`All ${desk.photos.length} photos get this style.`);
  developer.pump();
}

/** What the keeper asks of the server: full quality of a photo, which takes a while, a film for the list of jobs, a sheet. */
async function askToKeep(name, photo, payload = {}) {
  if (name === "sheet") return attempt(() => call(server, name, payload));
  if (name === "order_film") return attempt(() => call(server, name, { id: photo.id, recipe: { ...clone(photo.recipe), restyle: { ...clone(photo.recipe.restyle), ...payload } } }));
  return developer.save(photo);
}

// ---- the row of photos ----------------------------------------------------------------------------------------------------
function select(photo) {
  film.leave({ isQuiet: true });
  desk.choose(photo);
  if (photo) {
    developer.show(photo);
    developer.develop(photo, { gather: !photo.settled });
  } else viewer.clear();
  follow();
  drawRow();
  developer.showBusy();
}

function drawRow() {
  const isMany = desk.photos.length > 1;
  row.draw(desk.photos, desk.at);
  actions.saveAll.hidden = !isMany;
  forAll.hidden = !isMany;
}

const notice = new Notice();
const keeper = new Keeper({ ask: askToKeep, why: () => problem.textContent, notice, onOrder: (photo) => { if (photo === desk.current) film.set(photo); } });
const row = new PhotoRow({ onSelect: select, onAway: (photo) => arrivals.putAway(photo), onAdd: () => chooser.click(), onBack: () => arrivals.undoAway() });
const arrivals = new PhotoArrivals({ server, desk, row, notice, ready, attempt, onSelect: select, onRow: drawRow, onMore: () => developer.pump() });

// ---- controls ---------------------------------------------------------------------------------------------------------------
const picker = new StylePicker({
  onChoose: (style, isMore) => {
    const book = desk.styles.find((entry) => entry.name === desk.wanted?.model.name);
    if (isMore && style.style && book?.styles?.includes(style.style)) wishes.blend.put(style.style);
    else wish({}, { style });
  },
  fetchPhoto: ({ id, frame }, styles) => call(server, "photo_tiles", { id, frame, styles: styles.map(({ name, style }) => ({ name, style })) }).catch((error) => {
    if (!(error instanceof Refused)) throw error;
    return null;
  }),
  fetch: ({ name, style }) => call(server, "tile", { name, style }).catch((error) => {
    if (!(error instanceof Refused)) throw error;
    return null;
  }),
});

function drawStyles(models) {
  desk.know(styleEntries(models.filter((entry) => entry.kind === "translator")));
  picker.draw(desk.styles);
  fillEmpty();
  follow();
}

let wishes = null;
/** The controls know their ranges and help only when the session is there. */
function fillAmount() {
  film.fill(session.bounds);
  wishes = restyleWishes.build({ bounds: session.bounds, wish, commit, viewer, styles: () => desk.styles.filter((style, place, all) => all.findIndex((other) => other.name === style.name) === place), words: styleWords, enlargers: () => session.settings.crisp || [] });
  blendPlace.append(wishes.blend.element);
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
const blendPlace = h("div");
const moreStyles = h("p", { class: "studio-quiet", hidden: true });
const amount = controls.group("Amount");
const more = controls.group("Strokes and styles");
const where = controls.group("Where");
const aboutGroup = controls.group("Photo", about);
const film = new FilmDesk({ viewer, server, wish, commit, onFrame: (frame, isDone) => developer.seek(frame, isDone), onBack: () => { developer.show(desk.current); developer.develop(desk.current); }, onTry: (photo, part) => keeper.order(photo, part) });
const lesson = new StyleLesson({ server, upload, photo: () => desk.current, async onLearnt(name) {
  await model.refresh();
  const style = desk.styles.find((entry) => entry.name === name && (!entry.style || entry.style === name)) || desk.styles.find((entry) => entry.name === name);
  if (style) wish({}, { style });
} });
const side = h("div", { class: "studio-side" }, h("div", { class: "studio-parts" }, film.group, controls.group("Style", ...picker.elements, blendPlace, lesson.element, moreStyles, problem), amount, more, where, aboutGroup));

const actions = new RestyleActions({
  viewer,
  onUndo: () => travel("past", "future", "undo"),
  onRedo: () => travel("future", "past", "redo"),
  onSave: () => desk.current && keeper.keep([desk.current]),
  onSaveAll: () => keeper.keep([...desk.photos]),
  onPlay: () => (film.isWatching ? film.pair.toggle() : false),
});
viewer.onView = ({ percent }) => {
  actions.showZoom(percent);
  wishes?.place();
};

function follow() {
  const photo = desk.current;
  const recipe = desk.wanted;
  const isOff = !photo || !desk.styles.length;
  actions.set(photo, { isOff });
  for (const group of [amount, more, where]) {
    group.inert = isOff;
    group.classList.toggle("off", isOff);
  }
  aboutGroup.hidden = !photo || !!photo.film;
  film.set(photo?.film ? photo : null);
  if (photo) {
    aboutName.textContent = photo.name;
    aboutName.title = photo.name;
    aboutSize.textContent = `${photo.width} x ${photo.height}`;
    aboutNotes.textContent = photo.notes.join(" ");
    aboutNotes.hidden = !photo.notes.length;
  }
  if (!recipe || !wishes) return;
  wishes.set(recipe, photo, { hasBatchNorm: !!photo && !!developer.batchNorm[recipe.model.name] });
  picker.mark(recipe);
  picker.show(photo, photo?.film ? photo.frame : 0);
}

// ---- put together -------------------------------------------------------------------------------------------------------------
root.append(h("div", { class: "studio-stage" }, viewer.element, actions.element, film.line, notice.element, row.element, chooser), side);

on("models", drawStyles);
on("tab", (id) => {
  if (id === "restyle") fillExamples().then(() => picker.fill());
  else film.pair.pause();
});
on("cancel", () => { if (tabs.current() === "restyle") developer.stop(); });
on("style", async (name) => {
  await ready;
  const style = desk.styles.find((entry) => entry.name === name);
  if (style) wish({}, { style });
});
on("ready", async () => {
  if (desk.like) return;
  const answer = await guarded(() => call(server, "desk"));
  if (!answer) return;
  fillAmount();
  desk.recall(session);
  answer.photos.forEach((entry) => arrivals.take(entry));
  emit("jobs", {});
  isReady();
  select(desk.last());
  fillExamples();
  lesson.element.hidden = session.settings.public;
  Object.assign(moreStyles, { textContent: session.settings.more_styles, hidden: !session.settings.more_styles });
  if (!session.settings.public) lesson.recall();
});
drawRow();
follow();
fillEmpty();
window.studio.mounted(element);
