const { h, on, call, guarded, Refused, controls, status, drops, tabs, keys, dropped, trainRun, trainSet } = window.studio;
const root = element.querySelector(".studio-widget");
const KEPT = "studio.train";
const FIELDS = { data: "", target: "", family: "stylegan2", crop: "smart", mirror: true, minutes: 60, resolution: 64, film_rate: 1, transparent: false, name: "", start_from: "", inception: "" };
const form = { ...FIELDS, ...kept().form };
const state = { families: [], runs: [], starts: [], looked: {} };

function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) || {};
  } catch {
    return {};
  }
}

const store = () => localStorage.setItem(KEPT, JSON.stringify({ form, run: panel.name() }));
const family = () => state.families.find((entry) => entry.name === form.family) || state.families[0];
const isTranslator = () => !!family()?.translates;

// ---- stage: the sheet of crops or samples -----------------------------------------------------------------------------
const image = h("img", { class: "studio-canvas train-sheet", alt: "", hidden: true, draggable: false });
const emptyTitle = h("h2");
const emptyWords = h("p");
const empty = h("div", { class: "studio-empty" }, h("div", {}, emptyTitle, emptyWords));
const frame = h("div", { class: "studio-frame" }, image, empty);
const caption = h("p", { class: "studio-quiet train-caption" });
const picture = {
  set(url, words) {
    image.src = url;
    image.alt = words;
    image.onload = () => frame.style.setProperty("--ratio", String(image.naturalWidth / image.naturalHeight));
    image.hidden = false;
    empty.hidden = true;
  },
  empty(title, words) {
    [emptyTitle.textContent, emptyWords.textContent] = [title, words];
    image.hidden = true;
    empty.hidden = false;
  },
};
const panel = trainRun({ server, picture, onChange: () => refresh() });

// ---- step 1: pictures ---------------------------------------------------------------------------------------------------
const STYLE_WORDS = ["In the style of", "The pictures whose look is wanted; they need not match the others"];
const PARTNER_WORDS = ["What they become", "The partner of each picture, under the same file name; leave it empty where one folder holds both"];
const makeSet = (which, label, help) => trainSet({
  which, label, help, value: form[which], onFiles: (files) => gather(files, which),
  onPath: (path) => { form[which] = path; store(); lookAt(which); },
});
const sets = { data: makeSet("data", "Pictures", "A folder (its sub-folders become classes), a zip or a film"), target: makeSet("target", ...STYLE_WORDS) };
const recents = h("datalist", { id: "studio-train-recent" });
const chips = h("div", { class: "train-recent" });
const crop = controls.choice({
  label: "Crop", value: form.crop, options: [["smart", "Subject"], ["centre", "Centre"], ["pad", "Whole"]], help: "Subject looks for what stands out; Whole adds edges instead of cutting",
  onChange: (value) => { form.crop = value; store(); lookAt("data"); },
});
const mirror = controls.toggle({ label: "Mirrored, too", value: form.mirror, help: "Shows every picture mirrored as well; not for letters and signs", onChange: (value) => { form.mirror = value; store(); } });
const rate = controls.number({ label: "Pictures per second of film", value: form.film_rate, low: 0.01, high: 120, step: 0.5, onInput: (value) => { form.film_rate = value; }, onCommit: () => { store(); lookAt("data"); } });
const rateField = controls.field("Per second of film", rate, "How many pictures each second of a film gives");
const transparent = controls.toggle({ label: "Keep transparency", value: form.transparent, help: "Off: they stand on white", onChange: (value) => { form.transparent = value; store(); } });
const cropLine = h("div", { class: "train-crop" }, crop.element, mirror.element, rateField, transparent.element);
rateField.hidden = transparent.element.hidden = true;
const stepPictures = controls.group("1  Pictures", sets.data.element, chips, sets.target.element, cropLine, recents);

const isPaired = () => form.family === "pix2pix";
const looks = {};
/** Look into a folder: the sheet of crops at once, then the report when everything was read. */
async function lookAt(which) {
  if (isPaired() && which === "target") {
    sets.target.busy(null, "");
    sets.target.report([]);
    return form.data ? lookAt("data") : undefined;
  }
  const mine = (looks[which] = {});
  state.looked[which] = false;
  settle();
  const isNow = () => looks[which] === mine;
  if (!form[which]) return sets[which].busy(null, "");
  sets[which].busy(0, "Looking");
  if (!form.name && which === "data") suggestName();
  try {
    const job = await call(server, "begin_look", { ...plan(), which });
    for (;;) {
      const answer = await call(server, "job_state", { id: job.id });
      if (!isNow()) return await call(server, "stop_job", { id: job.id });
      if (answer.refused) throw new Refused(answer.refused);
      if (answer.sheet && panel.name() === null && mine.sheet !== answer.sheet) {
        mine.sheet = answer.sheet;
        const what = answer.pairs ? "pairs, the picture and what it becomes," : "";
        picture.set(answer.sheet, `${answer.shown} ${answer.pairs ? "pairs" : "crops"}`);
        caption.textContent = `${answer.shown} of ${answer.total.toLocaleString("en")} ${what} as the network will see them, ${form.resolution} pixels each`;
      }
      sets[which].busy(answer.share ?? 0, answer.say ?? "Looking");
      if (!answer.done) continue;
      sets[which].busy(null, answer.say);
      sets[which].report(answer.details || []);
      if (which === "data") {
        rateField.hidden = !answer.films;
        transparent.element.hidden = !answer.transparent || isTranslator();
      }
      state.looked[which] = true;
      return settle();
    }
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (isNow()) sets[which].refuse(error.message);
  }
  return undefined;
}

function suggestName() {
  const last = form.data.replace(/[/\\]+$/, "").split(/[/\\]/).pop().replace(/\.[a-z0-9]+$/i, "");
  const taken = new Set(state.runs.map((run) => run.name));
  const base = last.replace(/[^\w -]/g, "-") || "untitled";
  let wanted = base;
  for (let number = 2; taken.has(wanted); number += 1) wanted = `${base}-${number}`;
  form.name = wanted;
  nameField.value = wanted;
  store();
  settle();
}

/** Send dropped or chosen files into a folder of the studio, and look at it. */
async function gather(files, which) {
  const wanted = files.filter(({ path }) => /\.(png|jpe?g|webp|tiff?|bmp|gif|zip|mp4|mov|m4v|mkv|webm|avi|mpe?g|wmv|ogv)$/i.test(path));
  await guarded(async () => {
    if (!wanted.length) throw new Refused("None of these files is a picture, a film or a zip of pictures.");
    await choose("");
    const title = wanted[0].path.includes("/") ? wanted[0].path.split("/")[0] : wanted.length === 1 ? wanted[0].file.name.replace(/\.[^.]*$/, "") : "dropped pictures";
    const { id } = await call(server, "begin_gather", { name: title.slice(0, 200) });
    for (const [index, { file, path }] of wanted.entries()) {
      sets[which].busy((index + 1) / wanted.length, `Copying ${index + 1} of ${wanted.length}`);
      const stored = await upload(file);
      await call(server, "add_file", { id, path: stored.path, name: path });
    }
    form[which] = (await call(server, "end_gather", { id })).path;
    if (which === "data") form.name = "";
    sets[which].show(form[which]);
    store();
    await lookAt(which);
  });
}

const setAt = (target) => target?.closest?.(".train-set")?.dataset.which || (isTranslator() && form.data && !form.target ? "target" : "data");
root.addEventListener("drop", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  const which = setAt(event.target);
  dropped(event.dataTransfer).then((files) => gather(files, which));
});
drops.register({
  name: "train", order: 5, accepts: () => tabs.current() === "train",
  handle: (files) => gather(files.map((file) => ({ file, path: file.name })), setAt(null)),
});

// ---- step 2: family and minutes -----------------------------------------------------------------------------------------
const familySelect = h("select", { class: "studio-text" });
const familyHelp = h("p", { class: "studio-quiet family-help" });
familySelect.addEventListener("change", () => { form.family = familySelect.value; store(); adapt(); lookAll(); });
const sizeSelect = h("select", { class: "studio-text" }, [16, 32, 64, 128, 256, 512].map((size) => h("option", { value: String(size), text: `${size} px` })));
sizeSelect.addEventListener("change", () => { form.resolution = Number(sizeSelect.value); store(); settle(); lookAll(); });
const minutes = controls.number({ label: "Minutes", value: form.minutes, low: 0.1, high: 100000, step: 10, fine: 1, onInput: (value) => { form.minutes = value; settle(); }, onCommit: store });
const nameField = h("input", { type: "text", class: "studio-text", value: form.name, maxlength: "100", spellcheck: "false", autocomplete: "off" });
nameField.addEventListener("input", () => { form.name = nameField.value.trim(); store(); settle(); });
const labelled = (text, field, help) => field.setAttribute("aria-label", text) || controls.help(h("label", { class: "studio-field" }, h("span", { text }), field), help);
const foretell = controls.button({ label: "Forecast", help: "Take a few steps on this computer and say what the minutes come to", onClick: () => forecast() });
const promise = h("p", { class: "promise", "aria-live": "polite" });
const startSelect = h("select", { class: "studio-text" });
startSelect.addEventListener("change", () => { form.start_from = startSelect.value; store(); offerStarts(); });
const inception = h("input", { type: "text", class: "studio-text", value: form.inception, placeholder: "Path of a file, if you have it", spellcheck: "false", autocomplete: "off" });
inception.addEventListener("change", () => { form.inception = inception.value.trim(); store(); });
const startField = labelled("Start from", startSelect, "A model that goes on learning from your pictures: far quicker than from nothing");
const finer = h("details", { class: "studio-details" }, h("summary", { text: "More" }),
  labelled("Inception file", inception, "The standard network for FID and KID (pt_inception-2015-12-05); without it the studio measures by its own means"));
const stepFamily = controls.group("2  Family and minutes", labelled("Family", familySelect, "Which kind of network learns"), familyHelp,
  h("div", { class: "studio-row" }, labelled("Size", sizeSelect, "Side of the pictures it makes; twice the size takes four times the time"), controls.field("Minutes", minutes, "How long it trains; you can stop sooner or add more"),
    labelled("Name", nameField, "What the model will be called")), startField, finer);

// ---- step 3: run --------------------------------------------------------------------------------------------------------
const startButton = controls.button({ label: "Start training", kind: "primary", onClick: () => start() });
const startWords = h("p", { class: "studio-quiet" });
const starter = h("div", { class: "train-start" }, startButton, foretell, startWords, promise);
const stepRun = controls.group("3  Run", starter, panel.side);
const runSelect = h("select", { class: "studio-text" });
runSelect.addEventListener("change", () => choose(runSelect.value));
const pick = h("div", { class: "studio-group train-pick" }, labelled("Run", runSelect, "Begin a new run, or look at an earlier one"));

const plan = () => ({ ...form, name: form.name || "untitled", target: isTranslator() ? form.target : "", start_from: startSelect.value, crop: isTranslator() ? "none" : form.crop });

/** Say what is still missing before a run can start. */
function settle() {
  const missing = !form.data ? "Choose pictures first." : isTranslator() && !form.target && form.family !== "pix2pix" ? "Choose the pictures of the wanted style, too." : !form.name ? "Give it a name." : "";
  startButton.disabled = foretell.disabled = !!missing;
  startWords.textContent = missing;
  promise.textContent = missing ? "" : "It goes on when this page is closed.";
  chips.hidden = !!form.data;
}

function adapt() {
  const entry = family();
  if (!entry) return;
  form.family = entry.name;
  familySelect.value = entry.name;
  familyHelp.textContent = entry.help;
  sets.target.element.hidden = !entry.translates;
  sets.target.name(...(isPaired() ? PARTNER_WORDS : STYLE_WORDS));
  crop.element.hidden = entry.translates;
  sizeSelect.value = String(form.resolution);
  offerStarts();
  settle();
}

/** List the models that a run of this family can start from; the size is then the model's. */
function offerStarts() {
  const starts = state.starts.filter((start) => start.family === form.family.replace(/-r$/, ""));
  startSelect.replaceChildren(h("option", { value: "", text: "Nothing" }), ...starts.map((start) => h("option", { value: start.name, text: start.name })));
  startSelect.value = starts.some((start) => start.name === form.start_from) ? form.start_from : "";
  startField.hidden = !starts.length;
  sizeSelect.disabled = !!startSelect.value;
}

function lookAll() {
  for (const which of ["target", "data"]) if (form[which] && (which === "data" || isTranslator())) lookAt(which);
}

let forecasting = null;
async function forecast() {
  const mine = (forecasting = {});
  promise.textContent = "Taking a few steps on this computer";
  foretell.disabled = true;
  await guarded(async () => {
    const { id } = await call(server, "begin_forecast", plan());
    for (;;) {
      const answer = await call(server, "job_state", { id });
      if (forecasting !== mine) return;
      if (!answer.done) continue;
      promise.textContent = answer.refused || answer.say;
      return;
    }
  });
  foretell.disabled = false;
  if (promise.textContent.startsWith("Taking")) promise.textContent = "";
}

async function start() {
  startButton.disabled = true;
  const answer = await guarded(() => call(server, "begin_run", plan()));
  startButton.disabled = false;
  if (!answer) return;
  status(answer.say);
  form.name = "";
  await refresh();
  await choose(answer.name);
}

/** Show a run, or ("") the form for a new one. */
async function choose(name) {
  const isRun = state.runs.some((run) => run.name === name);
  runSelect.value = isRun ? name : "";
  stepPictures.hidden = stepFamily.hidden = starter.hidden = isRun;
  caption.hidden = isRun;
  if (isRun) {
    const shown = panel.show(name);
    store();
    return shown;
  }
  panel.hide();
  store();
  picture.empty("Train a model of your own", "Drop a folder of pictures here, or give its path at the right. Some hundred of one kind work well; sub-folders become classes.");
  caption.textContent = "";
  sets.data.show(form.data);
  sets.target.show(form.target);
  nameField.value = form.name;
  adapt();
  return lookAll();
}

const refresh = inTurn(async () => {
  const answer = await guarded(() => call(server, "overview"));
  if (!answer) return;
  state.runs = answer.runs;
  state.families = answer.families;
  state.starts = answer.starts;
  offerStarts();
  const groups = [...new Set(answer.families.map((entry) => entry.group))];
  familySelect.replaceChildren(...groups.map((group) => h("optgroup", { label: group }, answer.families.filter((entry) => entry.group === group).map((entry) => h("option", { value: entry.name, text: entry.title })))));
  familySelect.value = family().name;
  runSelect.replaceChildren(h("option", { value: "", text: "A new run" }), ...answer.runs.map((run) => h("option", { value: run.name, text: `${run.name}: ${run.summary}` })));
  runSelect.value = panel.name() || "";
  recents.replaceChildren(...answer.recent.map((path) => h("option", { value: path })));
  chips.replaceChildren(...answer.recent.slice(0, 4).map((path) => {
    const short = path.split(/[/\\]/).pop();
    return controls.button({ label: short, kind: "small", help: path, onClick: () => { form.data = path; form.name = ""; sets.data.show(form.data); store(); lookAt("data"); } });
  }));
});

/** Run a task one at a time. */
function inTurn(task) {
  let last = Promise.resolve();
  return () => (last = last.then(task));
}

root.append(h("div", { class: "studio-stage" }, h("div", { class: "studio-picture" }, frame, caption), panel.stage), h("div", { class: "studio-side" }, pick, stepPictures, stepFamily, stepRun));
keys.register({ key: "n", title: "A new run", tab: "train", run: () => { choose(""); } });
on("ready", async () => {
  await refresh();
  const live = state.runs.find((run) => ["running", "preparing"].includes(run.state));
  const before = kept().run;
  await choose(live?.name || (state.runs.some((run) => run.name === before) ? before : ""));
});
on("tab", (id) => { if (id === "train") refresh().then(() => panel.refresh()); });
window.studio.mounted(element);
