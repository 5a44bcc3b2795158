const { h, on, emit, call, guarded, Refused, controls, model, status, keys, drops, tabs } = window.studio;
const root = element.querySelector(".studio-widget");
const state = { cards: [], refused: "", pictures: new Map() };

/** Run a task; returns the sentence of its refusal, or "" when it was done. */
async function refusalOf(task) {
  try {
    await task();
    return "";
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    status(error.message, "error");
    return error.message;
  }
}

// ---- bringing files in ------------------------------------------------------------------------------------------------
const chooser = h("input", { type: "file", multiple: true, hidden: true, onchange: () => { drops.deliver([...chooser.files]); chooser.value = ""; } });
const chooseButton = controls.button({ label: "Choose files", icon: "upload", onClick: () => chooser.click() });
const dropTitle = h("h2", { text: "Drop model files here" });
const dropWords = h("p", { text: "StyleGAN2 and StyleGAN3 (.pkl, .pt), CycleGAN, pix2pix, CUT and ESRGAN (.pth), painting styles (.onnx), safetensors. A file is read, never run." });
const imports = h("div", { class: "studio-imports", role: "list", "aria-label": "Imports" });
const dropArea = h("section", { class: "studio-droparea", "aria-label": "Bring in a model" }, h("div", { class: "words" }, dropTitle, dropWords), chooseButton, chooser, imports);

/** One line for a file on its way in; it stays when the file was refused, until it is closed. */
function importLine(file) {
  const words = h("span", { class: "what", text: "Sending" });
  const bar = h("div", { class: "studio-progress", role: "progressbar", "aria-label": `Import of ${file}` }, h("i"));
  const button = controls.button({ label: "Cancel", kind: "quiet small", onClick: () => line.onCancel?.() });
  const box = h("div", { class: "studio-import", role: "listitem" }, h("b", { text: file, title: file }), words, bar, button);
  imports.append(box);
  const line = {
    progress(share, what) {
      bar.dataset.known = share === null ? "" : "1";
      bar.style.setProperty("--share", String(share ?? 0));
      words.textContent = what;
    },
    end(sentence, isRefused) {
      box.dataset.refused = isRefused ? "1" : "";
      words.textContent = sentence;
      words.setAttribute("role", isRefused ? "alert" : "status");
      bar.hidden = true;
      button.querySelector("span").textContent = "Close";
      line.onCancel = () => box.remove();
    },
    remove: () => box.remove(),
    onCancel: null,
  };
  return line;
}

async function bring(file) {
  const line = importLine(file.name);
  let isStopped = false;
  line.onCancel = () => { isStopped = true; line.remove(); };
  const refused = await refusalOf(async () => {
    if (state.refused) throw new Refused(state.refused);
    const stored = await upload(file);
    if (isStopped) return;
    const job = await call(server, "begin_import", { path: stored.path, name: file.name });
    await follow(job.id, line);
  });
  if (refused) line.end(refused, true);
}

async function follow(id, line) {
  let isStopped = false;
  line.onCancel = () => {
    isStopped = true;
    line.remove();
    guarded(async () => status((await call(server, "stop_import", { id })).say));
  };
  for (;;) {
    const answer = await call(server, "import_state", { id });
    if (!answer.done) {
      line.progress(answer.share, answer.what);
      continue;
    }
    if (answer.card) {
      line.end(`Recognised: ${answer.card.summary}. It is installed as ${answer.card.name}.`, false);
      await arrived(answer.card);
      status(answer.say);
    } else if (!isStopped) {
      line.end(answer.refused, true);
      status(answer.refused, "error");
    }
    return;
  }
}

async function arrived(card) {
  await refresh();
  await model.refresh();
  cardOf(card.name)?.scrollIntoView({ block: "nearest" });
  if (card.kind === "generator" && !model.facts) await model.choose(card.name);
}

drops.register({
  name: "models",
  order: 20,
  accepts: (file) => drops.isModel(file) || (tabs.current() === "models" && !drops.isImage(file)),
  async handle(files) {
    if (tabs.current() !== "models") await tabs.show("models");
    for (const file of files) await bring(file);
  },
});
for (const kind of ["dragenter", "dragover"]) dropArea.addEventListener(kind, (event) => { if (event.dataTransfer?.types.includes("Files")) dropArea.dataset.over = "1"; });
for (const kind of ["dragleave", "drop"]) dropArea.addEventListener(kind, () => { delete dropArea.dataset.over; });

// ---- the cards ----------------------------------------------------------------------------------------------------------
const grid = h("div", { class: "studio-cards", role: "list", "aria-label": "Installed models" });
const folder = h("p", { class: "studio-quiet studio-folder" });
const empty = h("div", { class: "studio-empty studio-blank", hidden: true }, h("h2", { text: "No model yet" }),
  h("p", { text: "Drop a file above, or choose one. Generators open in Explore, translators in Restyle." }), controls.button({ label: "Choose files", kind: "primary", onClick: () => chooser.click() }));
const cardOf = (name) => grid.querySelector(`[data-name="${CSS.escape(name)}"]`);

async function refresh() {
  const answer = await guarded(() => call(server, "cards"));
  if (!answer) return;
  Object.assign(state, { cards: answer.cards, refused: answer.refused });
  grid.replaceChildren(...state.cards.map(draw));
  empty.hidden = state.cards.length > 0 || !!state.refused;
  dropTitle.textContent = state.refused ? "Models of this studio" : "Drop model files here";
  if (state.refused) dropWords.textContent = state.refused;
  chooseButton.hidden = !!state.refused || !state.cards.length;
  folder.textContent = answer.folder ? `Kept in ${answer.folder}` : "";
  if (!state.isFollowing) for (const job of answer.imports) refusalOf(() => follow(job.id, importLine(job.file)));
  state.isFollowing = true;
}

function draw(card) {
  const image = h("img", { alt: "", draggable: false, src: card.preview || state.pictures.get(card.name) || null });
  image.hidden = !image.getAttribute("src");
  const picture = h("button", { type: "button", class: "picture", tabindex: "-1", "aria-hidden": "true", onclick: () => open(card) }, image);
  const title = h("h3", { text: card.name, title: card.name });
  const head = h("div", { class: "head" }, title);
  const problem = h("p", { class: "studio-problem", role: "alert", hidden: true });
  const actions = h("div", { class: "actions" }, controls.button({ label: "Open", help: { generator: "In Explore", upscaler: "In Animate, under More" }[card.kind] || "In Restyle", onClick: () => open(card) }));
  const box = h("article", { class: "studio-card", role: "listitem", "data-name": card.name, "aria-label": card.name }, picture,
    h("div", { class: "words" }, head, h("p", { class: "summary", text: card.summary }), actions, problem),
    h("div", { class: "about" }, h("dl", {}, card.lines.map(([what, value]) => h("div", { "data-what": what }, h("dt", { text: what }), h("dd", { text: value })))),
      card.notes.map((note) => h("p", { class: "note", text: note }))));
  if (card.shipped) actions.append(h("span", { class: "studio-quiet", text: "Comes with the studio" }));
  else if (!state.refused) actions.append(controls.button({ label: "Rename", kind: "quiet", onClick: () => startRename(card, head, title, problem) }),
    controls.button({ label: "Remove", kind: "quiet", icon: "trash", iconOnly: true, help: "Undo brings it back", onClick: () => remove(card, box, problem) }));
  if (image.hidden) watcher.observe(box);
  return box;
}

async function open(card) {
  if (card.kind === "generator") {
    await model.choose(card.name);
    if (model.facts?.name === card.name) await tabs.show("explore");
    return undefined;
  }
  if (card.kind === "upscaler") {
    await tabs.show("animate");
    return status(`${card.name} can be chosen in Animate: Film, More, Enlarge with.`);
  }
  await tabs.show("restyle");
  emit("style", card.name);
  return undefined;
}

function startRename(card, head, title, problem) {
  const field = h("input", { type: "text", class: "studio-text", value: card.name, "aria-label": `New name of ${card.name}`, maxlength: "120" });
  let isOver = false;
  const end = async (isWanted) => {
    if (isOver) return;
    const wanted = field.value.trim();
    isOver = true;
    if (!isWanted || wanted === card.name) {
      field.replaceWith(title);
      problem.hidden = true;
      return;
    }
    let answer = null;
    const refused = await refusalOf(async () => { answer = await call(server, "rename", { name: card.name, new: wanted }); });
    problem.textContent = refused;
    problem.hidden = !refused;
    if (refused) {
      isOver = false;
      field.focus();
      return;
    }
    status(answer.say);
    await changed();
    cardOf(wanted)?.querySelector(".actions button")?.focus();
  };
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    end(event.key === "Enter");
  });
  field.addEventListener("blur", () => end(problem.hidden));
  title.replaceWith(field);
  field.focus();
  field.select();
}

/** Take a model away; its place says so and keeps the way back. */
async function remove(card, box, problem) {
  let answer = null;
  problem.textContent = await refusalOf(async () => { answer = await call(server, "remove", { name: card.name }); });
  problem.hidden = !problem.textContent;
  if (!answer) return;
  const undo = controls.button({ label: "Undo", icon: "undo", onClick: async () => {
    const refused = await refusalOf(async () => status((await call(server, "restore", { id: answer.trashed })).say));
    words.textContent = refused || words.textContent;
    if (refused) return;
    await changed();
    cardOf(card.name)?.querySelector(".actions button")?.focus();
  } });
  const words = h("p", { text: `${card.name} was removed.` });
  const place = h("div", { class: "studio-card gone", role: "listitem" }, words, undo);
  place.style.minHeight = `${box.offsetHeight}px`;
  box.replaceWith(place);
  undo.focus();
  status(answer.say);
  model.refresh();
}

async function changed() {
  await refresh();
  await model.refresh();
}

// ---- previews of models that have none beside their file, made when they are seen ----------------------------------------
const wanted = new Set();
let isAsking = false;
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) wanted[isIntersecting ? "add" : "delete"](target.dataset.name);
  fetchPictures();
});

async function fetchPictures() {
  if (isAsking) return;
  isAsking = true;
  while (wanted.size) {
    const [name] = wanted;
    wanted.delete(name);
    if (state.pictures.has(name)) continue;
    const answer = await call(server, "picture", { name }).catch((error) => {
      if (!(error instanceof Refused)) throw error;
      return null;
    });
    state.pictures.set(name, answer?.url || "");
    const image = cardOf(name)?.querySelector("img");
    if (image && answer) Object.assign(image, { src: answer.url, hidden: false });
  }
  isAsking = false;
}

const historyButton = controls.button({ label: "History of GANs", icon: "grid", help: "The same seed through every generation, side by side", onClick: () => emit("history") });
const historyLine = h("p", { class: "studio-history-line", hidden: true }, historyButton);
on("models", (models) => { historyLine.hidden = !models.some((entry) => entry.kind === "generator" && entry.name.startsWith("zoo-")); });
root.append(h("div", { class: "studio-page" }, dropArea, historyLine, grid, empty, folder));
keys.register({ key: "i", title: "Import a model file", tab: "models", run: () => (state.refused ? false : chooser.click()) });
on("ready", refresh);
on("tab", (id) => { if (id === "models") refresh(); });
window.studio.mounted(element);
