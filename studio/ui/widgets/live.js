const { h, on, emit, call, guarded, Refused, controls, session, recipe, model, status, tabs, drops, decode, clone, Stage, LiveLoop, Recorder, Ears, EarsError, Midi, MidiError, LiveMatrix, liveViews, keepFilm } = window.studio;
const root = element.querySelector(".studio-widget");
const KEPT = "studio.live";
const REST = 40;
const OSC_EVERY = 1000;
const HEARD = [["rms", "Loud"], ["low", "Low"], ["mid", "Mid"], ["high", "High"], ["onset", "Onset"]];
const state = { source: "microphone", device: "", preset: null, amount: 1, speed: 1, limits: true, sound: true, ...read() };
const ears = new Ears();
const hands = new Map();
let allowed = { seconds: 120, keeps: false, most: 512 };
let recorder = null;
let lastShown = null;
let soundFile = null;
let run = null;
let seen = 0;

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
      run: run.id, recipe: base(), preset: matrix.preset, heard: ears.take(matrix.ears()), hands: [...hands, ["amount", state.amount], ["speed", state.speed]],
      time: (performance.now() - run.began) / 1000, size: showSize(), seen, limits_flashes: state.limits,
    });
    if (loop.run !== mine) return null;
    if (answer.levels) matrix.meter(answer.levels);
    if (answer.osc) takeOsc(answer.osc);
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
    run.delay = delay / 1000;
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
  if (state.source === "file" && !soundFile) { chooseFile.click(); return; }
  complain("");
  const ticket = {};
  starting = ticket;
  showState();
  try {
    if (state.source === "microphone" && !(await stage.waiting(ears.openMicrophone(state.device)))) return;
    if (state.source === "file" && !(await stage.waiting(ears.openFile(soundFile)))) return;
    if (starting !== ticket) { ears.close(); return; }
    if (state.source === "microphone") fillDevices();
    run = { id: Math.random().toString(36).slice(2, 12), began: performance.now(), delay: 0 };
    loop.start();
    meterOn();
    status({ microphone: "The microphone is on.", file: `${soundFile?.name} plays.`, none: "Playing without a sound: MIDI and OSC move the picture." }[state.source]);
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
  const sound = state.sound && ears.isOpen ? ears.track(run.delay) : null;
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

// ---- what is heard ------------------------------------------------------------------------------------------------------------------
const modeChoice = liveViews.choice();
const sourceChoice = controls.choice({ label: "Listen to", options: [["microphone", "Microphone"], ["file", "Sound file"], ["none", "Nothing"]], value: state.source, help: "The microphone, a file that is played aloud, or nothing: then MIDI and OSC alone move the picture", onChange: async (source) => { keep({ source }); showSource(); await restart(); } });
const deviceBox = h("select", { class: "studio-text", "aria-label": "Microphone", onchange: async () => { keep({ device: deviceBox.value }); await restart(); } });
const deviceField = h("label", { class: "studio-field", hidden: true }, h("span", { text: "Microphone" }), deviceBox);
const chooseFile = h("input", { type: "file", accept: "audio/*,video/*", hidden: true, onchange: () => { if (chooseFile.files[0]) useFile(chooseFile.files[0]); chooseFile.value = ""; } });
const fileName = h("span", { class: "live-file" });
const fileRow = h("div", { class: "live-file-row", hidden: true }, fileName, controls.button({ label: "Choose a file", help: "Played aloud by this browser, round and round; or drop a sound on the page", onClick: () => chooseFile.click() }), chooseFile);
const soundToggle = controls.toggle({ label: "Record the sound too", value: state.sound, help: "Puts what is heard into the recording, as late as the pictures are", onChange: (sound) => keep({ sound }) });
const limitToggle = controls.toggle({ label: "Limit flashes", value: state.limits, help: "Damps what would be more than three large flashes in a second, which can harm people", onChange: (limits) => keep({ limits }) });

function showSource() {
  fileRow.hidden = state.source !== "file";
  fileName.textContent = soundFile?.name || "No file yet.";
  fileName.title = soundFile?.name || "";
  if (state.source !== "microphone") deviceField.hidden = true;
}

async function fillDevices() {
  const found = await ears.list();
  deviceField.hidden = found.length < 2 || state.source !== "microphone";
  deviceBox.replaceChildren(...found.map(([id, title]) => h("option", { value: id, selected: id === ears.deviceId }, title)));
}

async function useFile(file) {
  soundFile = file;
  keep({ source: "file" });
  sourceChoice.set("file");
  showSource();
  stop();
  await begin();
}

const isShown = () => tabs.current() === "live" && liveViews.current === "sound";
drops.register({ name: "live-sound", order: 5, accepts: (file) => isShown() && (/^audio\//.test(file.type) || /\.(mp3|wav|flac|ogg|oga|opus|m4a|aac)$/i.test(file.name)), handle: ([file]) => useFile(file) });

// ---- MIDI ---------------------------------------------------------------------------------------------------------------------------
const midiButton = controls.button({ label: "Turn MIDI on", help: "Asks the browser for your controllers; then press learn beside a value and move a knob", onClick: toggleMidi });
const midiWords = h("p", { class: "studio-quiet", text: "Off. The browser is not asked for controllers until you turn it on." });
const midiProblem = h("p", { class: "studio-problem", role: "alert", hidden: true });
const midiList = h("ul", { class: "live-bindings", "aria-label": "What knobs move" });
const midi = new Midi({ onChange: showMidi });

async function toggleMidi() {
  midiProblem.hidden = true;
  if (midi.isOn) return midi.turnOff();
  try {
    await midi.turnOn();
  } catch (error) {
    if (!(error instanceof MidiError)) throw error;
    midiProblem.textContent = error.message;
    midiProblem.hidden = false;
  }
  return undefined;
}

function showMidi() {
  name(midiButton, midi.isOn ? "Turn MIDI off" : "Turn MIDI on");
  const { devices } = midi;
  midiWords.textContent = !midi.isOn
    ? "Off. The browser is not asked for controllers until you turn it on."
    : midi.learning ? "Move the knob or press the key that shall do it."
      : devices.length ? `On: ${devices.join(", ")}. Press learn beside a value, then move a knob.` : "On, but no controller is connected. Connect one; it is found by itself.";
  midiList.replaceChildren(...midi.list());
}

// ---- the matrix ------------------------------------------------------------------------------------------------------------------------
const matrix = new LiveMatrix({ onChange: (preset) => keep({ preset }), learn: (id, target) => midi.target(id, target), forget: (id) => midi.forget(id) });
const presetBox = h("select", { class: "studio-text", "aria-label": "Preset", onchange: () => choosePreset(presetBox.value) });
const presetName = h("input", { type: "text", class: "studio-text", maxlength: "60", placeholder: "Name of your preset", "aria-label": "Name of your preset" });
const presetSave = controls.button({ label: "Save", icon: "save", help: "Keeps this matrix as a preset of your own, here and in Animate", onClick: savePreset });

async function choosePreset(wanted) {
  const answer = await guarded(() => call(server, "choose_preset", { name: wanted }));
  if (!answer) return;
  matrix.use(answer.preset);
  presetBox.value = wanted;
  status(answer.say);
}

async function savePreset() {
  const answer = await guarded(() => call(server, "save_preset", { preset: matrix.preset, label: presetName.value.trim() || "My preset" }));
  if (!answer) return;
  fillPresets(answer.presets);
  matrix.use(answer.preset);
  presetBox.value = answer.preset.name;
  if (session.settings.public) {
    const url = URL.createObjectURL(new Blob([answer.json], { type: "application/json" }));
    h("a", { href: url, download: answer.name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  }
  status(answer.say);
}

function fillPresets(presets) {
  presetBox.replaceChildren(h("option", { value: "", text: "Your own", disabled: true }), ...presets.map((preset) => h("option", { value: preset.name, text: preset.own ? `${preset.label} (own)` : preset.label, title: preset.help })));
  presetBox.value = presets.some((preset) => preset.name === matrix.preset.name) ? matrix.preset.name : "";
}

// ---- what hands and knobs set -------------------------------------------------------------------------------------------------------
const handGroup = controls.group("Play");
const amountBox = h("div", {});
let sliders = new Map();

/** A slider with its learn button; id is the path of a value, or the name of one of playing. */
function handSlider(id, { label, help, low, high, value, reset, center, step = 0.01, onInput }) {
  const set = (next) => { control.set(next); onInput(next); };
  const control = controls.slider({ label, help, low, high, step, value, reset, center, onInput });
  sliders.set(id, control);
  return h("div", { class: "live-hand" }, control.element, midi.target(id, { label, low, high, set }));
}

function fillHands() {
  for (const id of sliders.keys()) midi.forget(id);
  sliders = new Map();
  for (const path of [...hands.keys()]) hands.delete(path);
  const { bounds } = session;
  const value = (path, label, more = {}) => handSlider(path, { label, help: bounds[path]?.help, low: bounds[path]?.low, high: bounds[path]?.high, value: recipe.get(path), reset: recipe.get(path), onInput: (next) => hands.set(path, next), ...more });
  const around = (path) => ({ low: Math.floor(recipe.get(path)) - 4, high: Math.floor(recipe.get(path)) + 4, center: recipe.get(path) });
  const parts = [
    value("truncation.psi", "Psi", { center: 0 }),
    value("latent.x", "Seed", { ...around("latent.x"), help: "Travels along the seed plane, four seeds to either side" }),
    value("latent.y", "Row", { ...around("latent.y"), help: "Travels across the seed plane, four rows to either side" }),
    model.facts?.has_noise ? value("noise.strength", "Noise", { low: 0, high: 2, center: 1 }) : null,
    value("view.zoom", "Zoom", { low: 0.5, high: 3, center: 1 }),
    handSlider("speed", { label: "Wander speed", help: "How fast the place wanders where the preset lets it; 1 is as the preset says, 0 stays", low: 0, high: 4, value: state.speed, reset: 1, center: 1, onInput: (speed) => keep({ speed }) }),
    ...recipe.value.blends.slice(0, 4).map((_, i) => value(`blends.${i}.weight`, `Blend ${i + 1}`, { low: 0, high: 1 })),
    ...recipe.value.mixing.slice(0, 4).map((mix, i) => handSlider(`mixing.${i}`, {
      label: `Mix ${i + 1}`, help: "How much of the other style is mixed in, in all layers", low: 0, high: 1, value: mix.weights[0] ?? 0, reset: mix.weights[0] ?? 0,
      onInput: (next) => mix.weights.forEach((_, layer) => hands.set(`mixing.${i}.weights.${layer}`, next)),
    })),
  ];
  const weights = Object.fromEntries(recipe.value.latent.classes);
  const kinds = (model.facts?.classes || []).slice(0, 32).map((title, i) => value(`latent.classes.${i}`, title, { low: 0, high: 1, value: weights[i] || 0, reset: weights[i] || 0, help: `How much of ${title}` }));
  if (kinds.length) parts.push(h("details", { class: "studio-details" }, h("summary", { text: "Kinds" }), kinds));
  handGroup.replaceChildren(handGroup.firstElementChild, ...parts.filter(Boolean));
  amountBox.replaceChildren(handSlider("amount", { label: "Amount", help: "How much the sound moves everything; 1 is as the lines say", low: 0, high: 2, value: state.amount, reset: 1, center: 1, onInput: (amount) => keep({ amount }) }));
}

// ---- OSC --------------------------------------------------------------------------------------------------------------------------------
const oscWords = h("p", { class: "studio-quiet" });
const oscLast = h("output", { class: "live-osc-last", "aria-live": "off", hidden: true });
const oscHelp = h("p", { class: "studio-quiet" });
const oscGroup = controls.group("OSC", oscWords, oscLast, h("details", { class: "studio-details" }, h("summary", { text: "Addresses" }), oscHelp));

function showOsc(osc) {
  oscGroup.dataset.on = osc ? "1" : "";
  oscWords.textContent = osc ? `Listening at ${osc.host}, port ${osc.port}.` : session.settings.public ? "Off: a public studio does not listen to OSC." : "Off. Start the studio with: studio app --osc 9000";
  oscLast.hidden = !osc;
  if (!osc) return;
  oscLast.textContent = osc.last || "Nothing came in yet.";
  seen = Math.min(seen, osc.serial);
}

/** Take over what messages set, as if a hand had. */
function takeOsc({ serial, last, values }) {
  oscLast.textContent = last || "Nothing came in yet.";
  if (serial < seen) return;
  seen = serial;
  for (const [path, value] of Object.entries(values)) {
    if (path === "amount" || path === "speed") keep({ [path]: value });
    else hands.set(path, value);
    sliders.get(path)?.set(value);
  }
}

async function watchOsc() {
  if (!isShown() || document.hidden || !oscGroup.dataset.on || loop.isRunning) return;
  const answer = await call(server, "listen").catch(() => null);
  if (answer) showOsc(answer.osc);
}
setInterval(watchOsc, OSC_EVERY);

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
  oscHelp.textContent = answer.osc_help;
  showOsc(answer.osc);
  matrix.offer(answer.features, answer.moves);
  fillPresets(answer.presets);
  if (state.preset) { matrix.use(state.preset); fillPresets(answer.presets); }
  else if (answer.presets.length) await choosePreset(answer.presets.some((preset) => preset.name === "lucid") ? "lucid" : answer.presets[0].name);
  root.dataset.desk = "1";
}

/** Take up Explore's picture and model as they are now; while nobody looks it is enough to know that they changed. */
let isStale = true;
function refresh() {
  if (!isStale || !isShown() || !recipe.value) return;
  isStale = false;
  fillHands();
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

showSource();
showMidi();
fillEmpty();
root.append(
  h("div", { class: "studio-stage" }, stage.element, problem, bar),
  h("div", { class: "studio-side", role: "group", "aria-label": "Controls" },
    controls.group("Live", modeChoice.element, sourceChoice.element, deviceField, fileRow),
    controls.group("Sound matrix", presetBox, amountBox, matrix.element, h("div", { class: "studio-row sources" }, presetName, presetSave)),
    handGroup,
    controls.group("MIDI", midiWords, midiProblem, h("div", {}, midiButton), midiList),
    oscGroup,
    controls.group("Recording and safety", soundToggle.element, limitToggle.element)));
liveViews.add({ names: ["sound"], block: document.getElementById("studio-live"), show, leave, start: () => startButton.click(), snapshot, record });
window.studio.mounted(element);
