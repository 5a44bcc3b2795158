/* The sound board of Live: a picture that moves with what is heard, from Start to a snapshot or a recording. What it listens to, the
 * matrix, hands, knobs and messages are parts of their own (assets/live_*.js); here they are brought together. */
const { h, on, emit, call, guarded, Refused, controls, session, recipe, model, status, tabs, decode, clone, Stage, LiveLoop, Recorder, Ears, EarsError, LiveSources, LiveKnobs, LiveMatrix, LivePresets, LiveHands, LiveOsc, liveViews, keepFilm } = window.studio;
const root = element.querySelector(".studio-widget");
const KEPT = "studio.live";
const REST = 40;
const HEARD = [["rms", "Loud"], ["low", "Low"], ["mid", "Mid"], ["high", "High"], ["onset", "Onset"]];
const state = { source: "microphone", device: "", preset: null, amount: 1, speed: 1, limits: true, sound: true, ...read() };
const ears = new Ears();
let allowed = { seconds: 120, keeps: false, most: 512 };
let recorder = null;
let lastShown = null;
let run = null;

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) || {};
  } catch {
    return {};
  }
}

function keep(values) {
  Object.assign(state, values);
  localStorage.setItem(KEPT, JSON.stringify(state));
}

// ---- the picture ------------------------------------------------------------------------------------------------------------
const emptyBox = h("div", {});
const stage = new Stage({ label: "The picture that hears", empty: emptyBox });
const rate = h("output", { class: "studio-live-rate", "aria-live": "off" });
stage.element.querySelector(".studio-waiting").append(rate);
const problem = h("p", { class: "studio-problem", role: "alert", hidden: true });

/** What to do first, with the one button that does it. */
function fillEmpty() {
  const lines = model.facts
    ? ["A picture that hears", "What the microphone or a sound file plays moves the picture of Explore. The sound is heard in this browser only and is not sent anywhere.", controls.button({ label: "Start listening", kind: "primary", onClick: begin })]
    : ["Bring a model", "Sound moves the pictures of a generator, such as a StyleGAN. None is installed yet.", controls.button({ label: "Go to Models", kind: "primary", onClick: () => tabs.show("models") })];
  emptyBox.replaceChildren(h("h2", { text: lines[0] }), h("p", { text: lines[1] }), lines[2]);
}

function complain(sentence) {
  problem.textContent = sentence;
  problem.hidden = !sentence;
  if (sentence) status(sentence, "error");
}

const showSize = () => {
  const box = stage.frame.getBoundingClientRect();
  return Math.max(64, Math.min(allowed.most, Math.round(Math.min(box.width, box.height) * Math.min(devicePixelRatio || 1, 2)) || 512));
};

/** Explore's recipe; its photo, film and size have no part in this. */
function base() {
  const next = clone(recipe.value);
  return Object.assign(next, { size: null, restyle: null, film: null, precision: "auto" });
}

/** Ask for pictures until one moved; the newest values go along each time. */
async function ask() {
  const { run: mine } = loop;
  for (;;) {
    await new Promise(requestAnimationFrame);
    if (loop.run !== mine || !mine || !model.facts) return null;
    const { serial, taken } = loop.stamp();
    const answer = await call(server, "play", {
      run: run.id, recipe: base(), preset: matrix.preset, heard: ears.take(matrix.ears()), hands: hands.list(),
      time: (performance.now() - run.began) / 1000, size: showSize(), seen: osc.seen, limits_flashes: state.limits,
    });
    if (loop.run !== mine) return null;
    if (answer.levels) matrix.meter(answer.levels);
    if (answer.osc) osc.take(answer.osc);
    if (!answer.same) return { ...answer, serial, taken };
    await new Promise((resolve) => setTimeout(resolve, REST));
  }
}

const loop = new LiveLoop({
  ask,
  show(image, answer) {
    lastShown = { image, still: answer.still };
    stage.draw(image, `${model.facts?.title || "a model"}, moved by sound`);
    recorder?.add(image);
    if (recorder && recorder.seconds > allowed.seconds) endRecording(`Recordings end after ${Math.round(allowed.seconds / 60)} minutes.`);
    showState();
  },
  onRate({ rate: perSecond, delay, ms }) {
    rate.textContent = `${perSecond.toFixed(1)} a second, ${Math.round(delay)} ms behind`;
    rate.dataset.rate = perSecond.toFixed(1);
    if (ms) emit("speed", { device: session.device || "cpu", ms, runner: "", note: "" });
  },
  onError(error) {
    if (!(error instanceof Refused)) throw error;
    stop();
    complain(error.message);
  },
});

let starting = false;
async function begin() {
  if (loop.isRunning || starting) return;
  if (!model.facts) { status("Choose a model first.", "error"); return; }
  if (sources.asksForFile()) return;
  complain("");
  const ticket = {};
  starting = ticket;
  showState();
  try {
    if (state.source !== "none" && !(await stage.waiting(sources.open()))) return;
    if (starting !== ticket) { ears.close(); return; }
    sources.fillDevices();
    run = { id: Math.random().toString(36).slice(2, 12), began: performance.now() };
    loop.start();
    meterOn();
    status(sources.words);
  } catch (error) {
    if (!(error instanceof EarsError)) throw error;
    if (state.device) keep({ device: "" });
    complain(error.message);
  } finally {
    if (starting === ticket) starting = false;
    showState();
  }
}

/** End everything that runs and free the microphone; the last picture stays. */
function stop(sentence = "") {
  const wasOn = loop.isRunning || ears.isOpen || starting;
  if (loop.isRunning) call(server, "rest").catch(() => {});
  loop.stop();
  starting = false;
  endRecording();
  ears.close();
  matrix.meter([]);
  rate.textContent = "";
  delete rate.dataset.rate;
  if (wasOn && sentence) status(sentence);
  showState();
}
ears.onEnded = () => stop("The microphone was unplugged or switched off.");

async function restart() {
  if (!loop.isRunning && !starting) return;
  stop();
  await begin();
}

// ---- snapshot and recording ------------------------------------------------------------------------------------------------------
async function snapshot() {
  if (!lastShown) return;
  snapButton.disabled = true;
  const answer = await guarded(() => stage.waiting(call(server, "keep_still", { name: lastShown.still })));
  snapButton.disabled = !lastShown;
  if (!answer) return;
  status(answer.say);
  if (answer.item) emit("picture-made", answer.item);
  emit("gallery");
  if (answer.download) h("a", { href: answer.download, download: `${answer.id}` }).click();
}

function record() {
  if (recorder) return endRecording();
  if (!lastShown || !loop.isRunning) return undefined;
  const sound = state.sound && ears.isOpen ? ears.track(loop.delay / 1000) : null;
  if (!Recorder.formatFor(!!sound)) return status("This browser cannot record. Use a current Chrome, Edge, Firefox or Safari.", "error");
  const width = lastShown.image.naturalWidth || lastShown.image.width;
  recorder = new Recorder(lastShown.image, { scale: width < 384 ? 2 : 1, sound });
  recorder.recipe = base();
  status(`Recording${sound ? " with its sound" : ""}. Each picture stays for as long as it was on the screen.`);
  showState();
  return undefined;
}

async function endRecording(sentence = "") {
  if (!recorder) return;
  const done = recorder;
  recorder = null;
  showState();
  const film = await done.end(`${done.recipe.model.name}-live`);
  await stage.waiting(keepFilm({ server, upload, film, recipe: done.recipe, side: 256, isKept: allowed.keeps, sentence }));
}

const startButton = controls.button({ label: "Start", key: "Space", help: "Listens and plays; Stop frees the microphone", onClick: () => (loop.isRunning || starting ? stop("Stopped.") : begin()) });
const snapButton = controls.button({ label: "Snapshot", icon: "save", key: "S", help: "Keeps the picture of this moment in full quality: in the strip and in the Gallery", onClick: snapshot });
const recordButton = controls.button({ label: "Record", key: "V", help: "Records what is shown as a film with its true times, and what is heard with it", onClick: record });
recordButton.classList.add("studio-record");
snapButton.setAttribute("aria-label", "Snapshot");
const heardMeters = new Map();
const meters = h("div", { class: "live-meters", role: "img", "aria-label": "What is heard" }, HEARD.map(([name, words]) => {
  const bar = h("i");
  heardMeters.set(name, bar);
  return h("span", {}, bar, words);
}));
const bar = h("div", { class: "studio-actions", role: "toolbar", "aria-label": "Picture that hears" }, h("div", {}, startButton), h("div", {}, meters), h("div", {}, recordButton, snapButton));
const name = (button, words) => { const part = button.querySelector("span"); if (part.textContent !== words) part.textContent = words; };

function meterOn() {
  const mine = run;
  const draw = () => {
    for (const [feature, element_] of heardMeters) element_.style.setProperty("--level", ears.isOpen ? ears.level(feature).toFixed(3) : "0");
    if (loop.isRunning && run === mine) requestAnimationFrame(draw);
    else heardMeters.forEach((element_) => element_.style.setProperty("--level", "0"));
  };
  draw();
}

function showState() {
  const isOn = loop.isRunning || !!starting;
  name(startButton, isOn ? "Stop" : "Start");
  startButton.classList.toggle("primary", !isOn && stage.empty.hidden);
  startButton.disabled = !model.facts;
  snapButton.classList.toggle("primary", isOn);
  snapButton.disabled = !lastShown;
  recordButton.disabled = !recorder && (!loop.isRunning || !lastShown);
  recordButton.setAttribute("aria-pressed", String(!!recorder));
  const seconds = Math.floor(recorder?.seconds || 0);
  name(recordButton, recorder ? `Stop ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}` : "Record");
  modeChoice.element.inert = !!recorder;
}

// ---- the right column ----------------------------------------------------------------------------------------------------------------
const isShown = () => tabs.current() === "live" && liveViews.current === "sound";
const modeChoice = liveViews.choice();
const sources = new LiveSources({ ears, state, keep, isShown, onChange: restart, onFile: async () => { stop(); await begin(); } });
const soundToggle = controls.toggle({ label: "Record the sound too", value: state.sound, help: "Puts what is heard into the recording, as late as the pictures are", onChange: (sound) => keep({ sound }) });
const limitToggle = controls.toggle({ label: "Limit flashes", value: state.limits, help: "Damps what would be more than three large flashes in a second, which can harm people", onChange: (limits) => keep({ limits }) });
const knobs = new LiveKnobs();
const matrix = new LiveMatrix({ onChange: (preset) => keep({ preset }), learn: (id, target) => knobs.midi.target(id, target), forget: (id) => knobs.midi.forget(id) });
const presets = new LivePresets({ server, matrix });
const hands = new LiveHands({ midi: knobs.midi, state, keep });
const osc = new LiveOsc({ server, isResting: () => isShown() && !loop.isRunning, onValue: (path, value) => hands.take(path, value) });

// ---- together -----------------------------------------------------------------------------------------------------------------------------
let asked = "";
async function fillDesk() {
  if (!recipe.value) return;
  const wanted = `${model.facts?.name} ${recipe.value.blends.length} ${recipe.value.mixing.length}`;
  if (wanted === asked) return;
  asked = wanted;
  const answer = await guarded(() => call(server, "desk", { recipe: base() }));
  if (!answer || wanted !== asked) return;
  allowed = answer;
  osc.help.textContent = answer.osc_help;
  osc.show(answer.osc);
  matrix.offer(answer.features, answer.moves);
  await presets.open(answer.presets, state.preset);
  root.dataset.desk = "1";
}

/** Take up Explore's picture and model as they are now; while nobody looks it is enough to know that they changed. */
let isStale = true;
function refresh() {
  if (!isStale || !isShown() || !recipe.value) return;
  isStale = false;
  hands.fill();
  fillDesk();
}

function follow() {
  isStale = true;
  refresh();
}

function show() {
  fillEmpty();
  showState();
  refresh();
}

function leave() {
  stop();
  lastShown = null;
  stage.canvas.hidden = true;
  stage.empty.hidden = false;
}

on("model", () => { isStale = true; show(); });
on("recipe", follow);
on("ready", show);
on("tab", (tab) => { if (tab === "live") show(); else stop("The microphone is off."); });
on("cancel", () => { if (loop.isRunning || starting) stop("Stopped."); });
document.addEventListener("visibilitychange", () => { if (document.hidden) stop("The microphone is off because the page was hidden."); });
addEventListener("pagehide", () => stop());

fillEmpty();
root.append(
  h("div", { class: "studio-stage" }, stage.element, problem, bar),
  h("div", { class: "studio-side", role: "group", "aria-label": "Controls" },
    controls.group("Live", modeChoice.element, ...sources.elements),
    controls.group("Sound matrix", presets.box, hands.amount, matrix.element, presets.saving),
    hands.group, knobs.group, osc.group,
    controls.group("Recording and safety", soundToggle.element, limitToggle.element)));
liveViews.add({ names: ["sound"], block: document.getElementById("studio-live"), show, leave, start: () => startButton.click(), snapshot, record });
window.studio.mounted(element);
