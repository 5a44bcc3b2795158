/* The sound board of Live: a picture that moves with what is heard, from Start to a snapshot or a recording. What it listens to, the
 * matrix, hands, knobs and messages are parts of their own (assets/live_*.js); here they are brought together. */
const { h, on, emit, call, guarded, Refused, controls, session, recipe, model, status, tabs, clone, Stage, LiveLoop, LiveBar, remembered, Ears, EarsError, LiveSources, LiveKnobs, LiveMatrix, LivePresets, LiveHands, LiveOsc, liveViews } = window.studio;
const root = element.querySelector(".studio-widget");
const REST = 40;
const HEARD = [["rms", "Loud"], ["low", "Low"], ["mid", "Mid"], ["high", "High"], ["onset", "Onset"]];
const { state, keep } = remembered("studio.live", { source: "microphone", device: "", preset: null, amount: 1, speed: 1, limits: true, sound: true });
const ears = new Ears();
let allowed = { seconds: 120, keeps: false, most: 512 };
let run = null;

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
    stage.draw(image, `${model.facts?.title || "a model"}, moved by sound`);
    bar.take({ image, still: answer.still });
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
  bar.end();
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
const bar = new LiveBar({
  stage, loop, server, upload,
  allowed: () => allowed,
  still: (shown) => call(server, "keep_still", { name: shown.still }),
  film: ({ image }) => ({ recipe: base(), width: image.naturalWidth || image.width, sound: state.sound && ears.isOpen ? ears.track(loop.delay / 1000) : null }),
  onStart: () => (loop.isRunning || starting ? stop("Stopped.") : begin()),
  onChange: showState,
  helps: { start: "Listens and plays; Stop frees the microphone", record: "Records what is shown as a film with its true times, and what is heard with it" },
});
const heardMeters = new Map();
const meters = h("div", { class: "live-meters", role: "img", "aria-label": "What is heard" }, HEARD.map(([name, words]) => {
  const level = h("i");
  heardMeters.set(name, level);
  return h("span", {}, level, words);
}));
const actions = h("div", { class: "studio-actions", role: "toolbar", "aria-label": "Picture that hears" }, h("div", {}, bar.startButton), h("div", {}, meters), h("div", {}, bar.recordButton, bar.snapButton));

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
  bar.draw({ isOn: loop.isRunning || !!starting, canStart: !!model.facts });
  modeChoice.element.inert = bar.isRecording;
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
  bar.clear();
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
  h("div", { class: "studio-stage" }, stage.element, problem, actions),
  h("div", { class: "studio-side", role: "group", "aria-label": "Controls" },
    controls.group("Live", modeChoice.element, ...sources.elements),
    controls.group("Sound matrix", presets.box, hands.amount, matrix.element, presets.saving),
    hands.group, knobs.group, osc.group,
    controls.group("Recording and safety", soundToggle.element, limitToggle.element)));
liveViews.add({ names: ["sound"], block: document.getElementById("studio-live"), show, leave, start: () => bar.startButton.click(), snapshot: () => bar.snapshot(), record: () => bar.record() });
window.studio.mounted(element);
