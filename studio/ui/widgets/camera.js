const { h, on, emit, call, guarded, Refused, controls, session, recipe, model, status, tabs, decode, clone, Stage, Plane, holdButton, Camera, CameraError, LiveLoop, LiveBar, remembered, Walker, StyleTiles, styleEntries, liveViews } = window.studio;
const root = element.querySelector(".studio-widget");
const { state, keep } = remembered("studio.camera", { style: "", side: 256, shape: "square", isMirrored: true, strength: 1, keep: false, speed: 0.4, isWalking: true, psi: 0.7 });
const walker = new Walker();
const camera = new Camera();
let styles = [];
let allowed = { sides: [256], seconds: 120, keeps: false };

// ---- the picture ------------------------------------------------------------------------------------------------------------
const emptyBox = h("div", {});
const stage = new Stage({ label: "The live picture", empty: emptyBox });
const rate = h("output", { class: "studio-live-rate", "aria-live": "off" });
stage.element.querySelector(".studio-waiting").append(rate);
const problem = h("p", { class: "studio-problem", role: "alert", hidden: true });
const isCamera = () => liveViews.current !== "walk";
const style = () => styles.find((entry) => entry.key === state.style);

/** What to do first, with the one button that does it. */
function fillEmpty() {
  const start = (label) => controls.button({ label, kind: "primary", onClick: begin });
  const toModels = controls.button({ label: "Go to Models", kind: "primary", onClick: () => tabs.show("models") });
  const lines = isCamera()
    ? styles.length
      ? ["Your camera as a painting", session.settings.public ? "Every picture of the camera goes to this server, comes back repainted and is forgotten there. Nothing is kept until you take a snapshot." : "Every picture of the camera is repainted on this computer and forgotten. Nothing is kept until you take a snapshot or record.", start("Start the camera")]
      : ["Bring a style", "The camera is repainted by a translator: a CycleGAN, pix2pix or CUT model. None is installed yet.", toModels]
    : model.facts
      ? ["A walk through the model", "The picture travels over the seed plane by itself or under your hand, and can be recorded as it goes.", start("Start walking")]
      : ["Bring a model", "A walk needs a generator, such as a StyleGAN. None is installed yet.", toModels];
  emptyBox.replaceChildren(h("h2", { text: lines[0] }), h("p", { text: lines[1] }), lines[2]);
}

const wishes = () => ({
  version: session.defaults.version,
  model: { name: style()?.name || "", sha256: style()?.sha256 || "" },
  restyle: { strength: state.strength, keep_colors: state.keep, styles: style()?.style ? [{ name: style().style }] : [] },
  precision: "auto",
});

function walkRecipe() {
  const next = clone(recipe.value);
  Object.assign(next, { size: null, restyle: null, film: null, precision: "auto" });
  Object.assign(next.latent, { x: walker.x, y: walker.y, ws: "" });
  next.truncation.psi = state.psi;
  return next;
}

// ---- one picture after another ------------------------------------------------------------------------------------------------
const framing = () => ({ side: state.side, isSquare: state.shape === "square", isMirrored: state.isMirrored });

async function askCamera() {
  await camera.fresh();
  if (!camera.isOpen || !style()) return null;
  const source = camera.grab(framing());
  const { serial, taken } = loop.stamp();
  const answer = await call(server, "frame", { recipe: wishes(), picture: source.toDataURL("image/jpeg", 0.88) });
  return { ...answer, serial, taken, source };
}

const placeKey = () => [walker.x, walker.y, state.psi, state.side].join();

async function askWalk() {
  do {
    await new Promise(requestAnimationFrame);
    if (!loop.isRunning) return null;
    if (walker.advance(state.isWalking && !place.held ? state.speed : 0)) place.set(walker.x, walker.y);
  } while (walker.sent === placeKey());
  walker.sent = placeKey();
  const { serial, taken } = loop.stamp();
  return { ...(await call(server, "step", { recipe: walkRecipe(), size: state.side })), serial, taken };
}

const loop = new LiveLoop({
  ask: () => (isCamera() ? askCamera() : askWalk()),
  show(image, answer) {
    if (answer.source) stage.before = answer.source;
    stage.draw(image, isCamera() ? `the camera as ${style()?.title}` : `${model.facts?.title}, place ${walker.x.toFixed(2)} by ${walker.y.toFixed(2)}`);
    bar.take({ image, source: answer.source, recipe: isCamera() ? null : walkRecipe() });
  },
  onRate({ rate: perSecond, delay, ms }) {
    rate.textContent = `${perSecond.toFixed(1)} a second, ${Math.round(delay)} ms behind, model ${Math.round(ms || 0)} ms`;
    rate.dataset.rate = perSecond.toFixed(1);
    if (ms) emit("speed", { device: session.device || "cpu", ms, runner: "", note: "" });
  },
  onError(error) {
    if (!(error instanceof Refused)) throw error;
    stop();
    complain(error.message);
  },
});

function complain(sentence) {
  problem.textContent = sentence;
  problem.hidden = !sentence;
  if (sentence) status(sentence, "error");
}

let starting = false;
async function begin() {
  if (loop.isRunning || starting) return;
  if (isCamera() ? !style() : !model.facts) { status(isCamera() ? "Choose a style first: none is installed." : "Choose a model first.", "error"); return; }
  complain("");
  starting = true;
  showState();
  try {
    if (isCamera()) {
      if (!(await stage.waiting(camera.open(state.device || "")))) return;
      fillCameras();
    }
    stage.before = null;
    walker.begin();
    loop.start();
    status(isCamera() ? "The camera is on." : "Walking.");
  } catch (error) {
    if (!(error instanceof CameraError)) throw error;
    if (state.device) keep({ device: "" });
    complain(error.message);
  } finally {
    starting = false;
    showState();
  }
}

/** End everything that runs and free the camera; the last picture stays. */
function stop(sentence = "") {
  const wasOn = loop.isRunning || camera.isOpen || starting;
  loop.stop();
  camera.close();
  bar.end();
  rate.textContent = "";
  delete rate.dataset.rate;
  if (wasOn && sentence) status(sentence);
  showState();
}
camera.onEnded = () => stop("The camera was unplugged or switched off.");

// ---- snapshot and recording ------------------------------------------------------------------------------------------------------
/** The camera's picture of this moment in its own size (when it is off: the one shown last), restyled in full quality. */
async function snapCamera(shown) {
  const way = framing();
  const whole = camera.isOpen ? camera.grab({ ...way, side: 0 }) : shown.source;
  const blob = await new Promise((resolve) => whole.toBlob(resolve, "image/png"));
  const stored = await upload(new File([blob], "camera.png", { type: "image/png" }));
  return call(server, "snapshot", { path: stored.path, recipe: wishes(), side: Math.min(way.side, whole.width, whole.height) });
}

const bar = new LiveBar({
  stage, loop, server, upload,
  allowed: () => allowed,
  still: (shown) => (isCamera() ? snapCamera(shown) : call(server, "still", { recipe: shown.recipe })),
  film: (shown) => ({ recipe: isCamera() ? wishes() : shown.recipe, width: state.side }),
  onStart: () => (loop.isRunning || starting ? stop("Stopped.") : begin()),
  onChange: showState,
  helps: { start: "Turns the camera on, or begins the walk; Stop frees the camera", record: "Records what is shown as a film with its true times" },
});
const compareButton = holdButton({ label: "Hold to compare", help: "Shows the camera itself, for as long as it is held", icon: "eye", onHold: (isHeld) => stage.hold(isHeld) });
const actions = h("div", { class: "studio-actions", role: "toolbar", "aria-label": "Live picture" }, h("div", {}, bar.startButton), h("div", {}, compareButton), h("div", {}, bar.recordButton, bar.snapButton));

function showState() {
  bar.draw({ isOn: loop.isRunning || starting, canStart: !!(isCamera() ? style() : model.facts) });
  compareButton.hidden = !isCamera();
  compareButton.disabled = !stage.before;
  modeChoice.element.inert = bar.isRecording;
}

// ---- controls ---------------------------------------------------------------------------------------------------------------------
const modeChoice = liveViews.choice();
const tiles = new StyleTiles({ label: "Style of the camera", fetch: ({ name, style: own }) => call(server, "tile", { name, style: own }), onChoose: (wanted) => keep({ style: wanted }) });
const noStyles = h("p", { class: "studio-quiet", text: "None is installed yet." });
const deviceBox = h("select", { class: "studio-text", "aria-label": "Camera", onchange: async () => { keep({ device: deviceBox.value }); if (camera.isOpen) { stop(); await begin(); } } });
const deviceField = h("label", { class: "studio-field", hidden: true }, h("span", { text: "Camera" }), deviceBox);
const styleGroup = controls.group("Style", tiles.element, noStyles);
const pictureGroup = controls.group("Picture");
const place = new Plane({
  help: "Drag to lead the walk; arrow keys step. Let go and it walks on from there",
  onMove: ({ x, y }) => Object.assign(walker, { x, y }),
  onDone: () => {},
  fetchCells: async (places) => {
    if (loop.isRunning) return null;
    const answer = await call(server, "plane_cells", { recipe: walkRecipe(), places }).catch(() => null);
    return answer && Promise.all(answer.cells.map(decode));
  },
});
const walkGroup = controls.group("Walk", place.element);

async function fillCameras() {
  const found = await camera.list();
  deviceField.hidden = found.length < 2;
  deviceBox.replaceChildren(...found.map(([id, title]) => h("option", { value: id, selected: id === camera.deviceId }, title)));
}

function fillControls() {
  const sizes = allowed.sides.map((side) => [String(side), String(side)]);
  const sizeChoice = () => controls.choice({ label: "Size in pixels", options: sizes, value: String(state.side), help: "What the network works at: smaller is faster, larger is finer", onChange: (side) => keep({ side: Number(side) }) }).element;
  if (!allowed.sides.includes(state.side)) keep({ side: allowed.sides.at(-1) });
  const { [`restyle.strength`]: strength, [`truncation.psi`]: psi } = session.bounds;
  pictureGroup.append(
    sizeChoice(),
    controls.choice({ label: "Shape", options: [["square", "Square"], ["whole", "Whole"]], value: state.shape, help: "A square from the middle, or all that the camera sees", onChange: (shape) => keep({ shape }) }).element,
    controls.toggle({ label: "Mirror", value: state.isMirrored, help: "Left and right as in a mirror", onChange: (isMirrored) => keep({ isMirrored }) }).element,
    controls.toggle({ label: "Keep colours", value: state.keep, help: "Keeps the colours of the camera and takes only the strokes", onChange: (isOn) => keep({ keep: isOn }) }).element,
    controls.slider({ label: "Strength", help: strength.help, low: strength.low, high: strength.high, value: state.strength, reset: strength.default, onInput: (value) => keep({ strength: value }) }).element,
    deviceField,
  );
  walkGroup.append(
    controls.toggle({ label: "Walk by itself", value: state.isWalking, help: "Travels on in a wandering direction; off: only under your hand", onChange: (isWalking) => keep({ isWalking }) }).element,
    controls.slider({ label: "Speed", help: "Seeds passed in a second", low: 0.05, high: 4, step: 0.05, value: state.speed, reset: 0.4, onInput: (speed) => keep({ speed }) }).element,
    controls.slider({ label: "psi", help: psi.help, low: psi.low, high: psi.high, value: state.psi, reset: 0.7, onInput: (value) => keep({ psi: value }) }).element,
    sizeChoice(),
  );
}

function drawStyles(models) {
  styles = styleEntries(models.filter((entry) => entry.kind === "translator"));
  noStyles.hidden = styles.length > 0;
  if (styles.length && !style()) keep({ style: styles[0].key });
  tiles.draw(styles, state.style);
  fillEmpty();
  showState();
}

function showMode() {
  const walks = !isCamera();
  styleGroup.hidden = walks;
  pictureGroup.hidden = walks;
  walkGroup.hidden = !walks;
  if (walks && recipe.value && model.facts) {
    Object.assign(walker, { x: recipe.value.latent.x, y: recipe.value.latent.y });
    place.set(walker.x, walker.y);
    place.depend(`${model.facts.name} ${model.facts.sha256}`);
  }
  fillEmpty();
  showState();
}

on("models", drawStyles);
on("model", showMode);
on("ready", async () => {
  allowed = (await guarded(() => call(server, "limits"))) || allowed;
  fillControls();
  showMode();
});
on("tab", (tab) => { if (tab !== "live") stop("The camera is off."); });
on("cancel", () => { if (loop.isRunning || starting) stop("Stopped."); });
document.addEventListener("visibilitychange", () => { if (document.hidden) stop("The camera is off because the page was hidden."); });
addEventListener("pagehide", () => stop());

/** Another live picture is shown: end this one and go back to the empty stage. */
function leave() {
  stop();
  bar.clear();
  stage.canvas.hidden = true;
  stage.before = null;
  stage.now = null;
  stage.empty.hidden = false;
}

root.append(h("div", { class: "studio-stage" }, stage.element, problem, actions), h("div", { class: "studio-side", role: "group", "aria-label": "Controls" }, controls.group("Live", modeChoice.element), styleGroup, pictureGroup, walkGroup));
liveViews.add({ names: ["camera", "walk"], block: document.getElementById("studio-camera"), show: showMode, leave, start: () => bar.startButton.click(), snapshot: () => bar.snapshot(), record: () => bar.record() });
window.studio.mounted(element);
