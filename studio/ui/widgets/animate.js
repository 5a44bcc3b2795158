const { h, on, emit, call, guarded, latestWins, controls, session, recipe, model, status, keys, tabs, decode, Stage, film, player, filmCurves, FilmTimeline, FilmMatrix, filmPresetRow, filmSide, fetchParts } = window.studio;
const root = element.querySelector(".studio-widget");
const OPTIONS = "studio.film.options";
const MOVING = 256;
const SETTLE = 160;

// ---- the picture --------------------------------------------------------------------------------------------------
const begin = h("div", {});
const stage = new Stage({ label: "The film", empty: begin });
const video = h("video", { class: "film-video", controls: true, playsinline: true, hidden: true, "aria-label": "Five seconds in final quality" });
stage.frame.append(video);
const KEPT = ["kind", "size", "fit", "quality", "crf", "effort", "chroma", "upscaler"];
const options = { kind: "h264", size: "", fit: "pad", quality: "usual", effort: "", chroma: "", upscaler: "", ...stored(), store: () => localStorage.setItem(OPTIONS, JSON.stringify(Object.fromEntries(KEPT.map((name) => [name, options[name]])))) };

function stored() {
  try {
    return JSON.parse(localStorage.getItem(OPTIONS)) || {};
  } catch {
    return {};
  }
}

const showSize = () => {
  const box = stage.frame.getBoundingClientRect();
  return Math.max(64, Math.min(1024, Math.round(Math.min(box.width, box.height) * Math.min(devicePixelRatio || 1, 2)) || 256));
};

/** Draw the frame at the playhead: one request in flight, the newest moment wins. */
const drawFrame = latestWins(async ({ index, size }) => {
  if (!film.value) return;
  const answer = await guarded(() => stage.waiting(call(server, "frame", { index, size })));
  if (!answer) { player.pause(); return; }
  if (answer.missing) { await film.again(); settle(); return; }
  if (!film.value) return;
  stage.draw(await decode(answer.url), `frame ${answer.index + 1} of ${film.facts.count}`);
  stage.canvas.dataset.index = String(answer.index);
  stage.canvas.dataset.size = String(size);
  emit("speed", answer.speed);
});

let settling = 0;
const wanted = (size) => ({ index: film.frameOf(player.time), size });
function settle() {
  clearTimeout(settling);
  settling = setTimeout(() => { if (film.value && !player.isPlaying) drawFrame(wanted(showSize())); }, SETTLE);
}

on("film-time", ({ isMoving }) => {
  showTime();
  hideVideo();
  if (!film.value || tabs.current() !== "animate") return;
  if (isMoving) drawFrame(wanted(MOVING));
  if (!player.isPlaying) settle();
});
on("film-held", () => { drawFrame(wanted(MOVING)); settle(); });
on("film-facts", () => { drawFrame(wanted(MOVING)); settle(); showTime(); });
on("film", ({ recipe: value }) => {
  hideVideo();
  const has = !!value;
  stage.empty.hidden = has;
  if (!has) { stage.canvas.hidden = true; showBegin(); }
  [playButton, startButton, glimpseButton, renderButton].forEach((button) => { button.disabled = !has; });
  showSteps();
});
on("film-facts", showSteps);
on("tab", (id) => { if (id === "animate" && film.value) settle(); });

function showBegin() {
  const hasModel = session.models.some((entry) => entry.kind === "generator");
  begin.replaceChildren(...(hasModel
    ? [h("h2", { text: "Make a film" }), h("p", { text: "Choose pictures at the right and press Make a film, or begin with the picture that Explore shows." }),
      controls.button({ label: "Begin with this picture", kind: "primary", key: "K", onClick: () => addPicture() })]
    : [h("h2", { text: "Bring a model first" }), h("p", { text: "A film goes through the pictures of a model." }),
      controls.button({ label: "Go to Models", kind: "primary", onClick: () => tabs.show("models") })]));
}
on("models", () => { if (!film.value) showBegin(); });

// ---- transport ------------------------------------------------------------------------------------------------------
const triangle = h("svg", { viewBox: "0 0 20 20", width: "18", height: "18", "aria-hidden": "true", class: "studio-icon" }, h("path", { d: "M6 4l10 6-10 6z", fill: "currentColor" }));
const bars = h("svg", { viewBox: "0 0 20 20", width: "18", height: "18", "aria-hidden": "true", class: "studio-icon" }, h("path", { d: "M5 4h3v12H5zM12 4h3v12h-3z", fill: "currentColor" }));
const playButton = h("button", { type: "button", class: "studio-button", "aria-label": "Play", "aria-keyshortcuts": "Space", title: "Play or pause (Space)", onclick: player.toggle }, triangle);
const startButton = controls.button({ label: "To the beginning", icon: "reset", iconOnly: true, kind: "quiet", key: "Home", onClick: () => player.seek(0) });
const undoButton = controls.button({ label: "Undo", icon: "undo", iconOnly: true, kind: "quiet", key: "Z", onClick: () => film.step("undo") });
const redoButton = controls.button({ label: "Redo", icon: "redo", iconOnly: true, kind: "quiet", key: "Shift+Z", onClick: () => film.step("redo") });
const [timeNow, timeFrame] = [h("span"), h("span", { class: "frame" })];
const timeWords = h("output", { class: "film-clock", "aria-live": "off" }, timeNow, timeFrame);
const glimpseButton = controls.button({ label: "5 s preview", icon: "eye", help: "Five seconds from the playhead in the film's quality, with sound", onClick: glimpse });
const renderButton = controls.button({ label: "Render", kind: "primary", key: "S", help: "Makes the whole film; it goes on when the page is closed, and lands in the Gallery", onClick: render });

on("film-play", (isPlaying) => {
  playButton.replaceChildren(isPlaying ? bars : triangle);
  playButton.setAttribute("aria-label", isPlaying ? "Pause" : "Play");
});

function showTime() {
  if (!film.value) { timeNow.textContent = timeFrame.textContent = ""; return; }
  const whole = Math.floor(player.time);
  const part = Math.floor((player.time - whole) * 100 + 1e-6);
  timeNow.textContent = `${filmCurves.clock(player.time)}.${String(part).padStart(2, "0")}`;
  timeFrame.textContent = ` · frame ${film.frameOf(player.time) + 1} of ${film.facts.count}`;
}

function showSteps() {
  undoButton.disabled = film.steps.undo < 1;
  redoButton.disabled = film.steps.redo < 1;
}

// ---- what the hand does -----------------------------------------------------------------------------------------------
/** Put a picture (of the strip, or what Explore shows) at a moment. */
function addPicture(picture = recipe.value, time = film.snap(player.time)) {
  if (!picture?.model.name) return status("Bring a model first.");
  if (picture.restyle) return status("A restyled photo has no place among the seeds. Take a picture that a generator made.", "error");
  const state = { ...picture, film: null };
  return film.ask("add_state", { recipe: film.value, state, time: Math.min(time, film.facts.seconds) });
}

async function render() {
  if (!film.value) return;
  const [width, height] = options.size.includes("x") ? options.size.split("x").map(Number) : [Number(options.size) || 0, Number(options.size) || 0];
  const answer = await guarded(() => call(server, "render", { recipe: film.value, kind: options.kind, fit: options.fit, width, height, ...options.wishes() }));
  if (!answer) return;
  status(answer.say);
  emit("jobs", { open: true });
}

// ---- five seconds in final quality ---------------------------------------------------------------------------------------
let glimpsing = null;
let shownUrl = "";

function hideVideo() {
  if (video.hidden) return;
  video.pause();
  video.hidden = true;
  stage.canvas.hidden = !film.value;
}

async function glimpse() {
  if (!film.value || glimpsing) return;
  player.pause();
  const ticket = {};
  glimpsing = ticket;
  glimpseButton.disabled = true;
  const stop = () => { ticket.isStopped = true; };
  const task = (async () => {
    await film.commit();
    let state = await call(server, "glimpse", { index: film.frameOf(player.time) });
    while (!state.done) {
      state = await call(server, "glimpse_state", { id: state.id, on: !ticket.isStopped });
      stage.progress(state.share, state.share ? `${Math.round(state.share * 100)} %` : "");
    }
    if (state.refused) throw new window.studio.Refused(state.refused);
    return fetchParts(server, "glimpse_part", state.id);
  })();
  const blob = await guarded(() => stage.waiting(task, { cancel: stop }));
  glimpsing = null;
  glimpseButton.disabled = !film.value;
  if (!blob || tabs.current() !== "animate") return;
  URL.revokeObjectURL(shownUrl);
  shownUrl = URL.createObjectURL(blob);
  video.src = shownUrl;
  video.hidden = false;
  stage.canvas.hidden = true;
  video.play().catch(() => {});
  video.focus({ preventScroll: true });
  status("Five seconds in the film's quality. Move the playhead to go on.");
}
on("cancel", hideVideo);

// ---- put together -----------------------------------------------------------------------------------------------------
const timeline = new FilmTimeline({ server, addPicture });
const matrix = new FilmMatrix(server);
const side = h("div", { class: "studio-side", role: "group", "aria-label": "Film" });
const matrixGroup = controls.group("Sound matrix", ...filmPresetRow(server), matrix.element);
side.append(filmSide.routeGroup(server), filmSide.soundGroup(), matrixGroup, filmSide.settingsGroup(options));
on("film", ({ recipe: value }) => { matrixGroup.inert = !value; matrixGroup.classList.toggle("off", !value); });
const transport = h("div", { class: "studio-actions", role: "toolbar", "aria-label": "Transport" },
  h("div", {}, undoButton, redoButton), h("div", { class: "film-play" }, startButton, playButton, timeWords), h("div", {}, glimpseButton, renderButton));
root.append(h("div", { class: "studio-stage" }, stage.element, transport), timeline.element, side);

keys.register({ key: " ", shows: "Space", title: "Play or pause", tab: "animate", run: player.toggle });
keys.register({ key: "k", title: "Add what Explore shows as a keyframe", tab: "animate", run: () => { addPicture(); } });
keys.register({ key: "z", title: "Undo", tab: "animate", run: () => { film.step("undo"); } });
keys.register({ key: "z", shift: true, title: "Redo", tab: "animate", run: () => { film.step("redo"); } });
keys.register({ key: "s", title: "Render the film", tab: "animate", run: () => { render(); } });
keys.register({ key: "Home", title: "To the beginning", tab: "animate", run: () => player.seek(0) });
keys.register({ key: ",", title: "One frame back", tab: "animate", run: () => player.seek(film.snap(player.time - 1 / film.facts.rate)) });
keys.register({ key: ".", title: "One frame on", tab: "animate", run: () => player.seek(film.snap(player.time + 1 / film.facts.rate)) });

session.ready.then(() => film.begin(server, upload)).then(() => window.studio.mounted(element));
