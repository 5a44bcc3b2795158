const { h, on, emit, call, guarded, recipe, status, drops, controls, keys, tabs, film, fetchParts } = window.studio;
const root = element.querySelector(".studio-widget");
const PAGE = 240;
const LOT = 24;

const state = { items: [], total: 0, all: 0, query: "", starred: false, chosen: new Set(), anchor: null };
const urls = new Map();
let isAsking = false;

// ---- listing --------------------------------------------------------------------------------------------------------
async function browse({ more = false } = {}) {
  const offset = more ? state.items.length : 0;
  const answer = await guarded(() => call(server, "browse", { query: state.query, starred: state.starred, offset, limit: PAGE }));
  if (!answer) return;
  Object.assign(state, { items: more ? [...state.items, ...answer.items] : answer.items, total: answer.total, all: answer.all });
  const known = new Set(state.items.map((item) => item.id));
  for (const id of [...state.chosen]) if (!known.has(id)) state.chosen.delete(id);
  suggestions.replaceChildren(
    ...answer.models.map((name) => h("option", { value: `model:${/\s/.test(name) ? `"${name}"` : name}` })),
    ...answer.tags.map((name) => h("option", { value: `tag:${/\s/.test(name) ? `"${name}"` : name}` })));
  folder.textContent = answer.folder ? `Kept in ${answer.folder}` : "Pictures of this visit only: download what you want to keep.";
  folder.title = folder.textContent;
  draw();
}

function draw() {
  const focused = document.activeElement?.closest?.(".studio-tile")?.dataset.id;
  grid.replaceChildren(...state.items.map(tile));
  const isEmpty = !state.items.length;
  grid.hidden = isEmpty;
  empty.hidden = !isEmpty;
  empty.replaceChildren(...(state.all ? nothingFound() : nothingYet()));
  count.textContent = state.total === state.all ? `${state.all} ${state.all === 1 ? "picture" : "pictures"}` : `${state.total} of ${state.all}`;
  moreButton.hidden = state.items.length >= state.total;
  showChosen();
  const first = (focused && tileOf(focused)) || grid.firstElementChild;
  first?.querySelector(".picture").setAttribute("tabindex", "0");
  if (focused) tileOf(focused)?.querySelector(".picture").focus();
}

const nothingYet = () => [h("h2", { text: "Nothing saved yet" }), h("p", { text: "Pictures that you save in Explore, Mix or Restyle are kept here with all that made them." }),
  controls.button({ label: "Go to Explore", kind: "primary", onClick: () => tabs.show("explore") })];
const nothingFound = () => [h("h2", { text: "Nothing found" }), h("p", { text: "No picture fits this search." }),
  controls.button({ label: "Show all", kind: "primary", onClick: () => { search.value = ""; state.query = ""; state.starred = false; starredOnly.set(false); browse(); } })];

const tileOf = (id) => grid.querySelector(`[data-id="${CSS.escape(id)}"]`);

function tile(item) {
  const image = h("img", { alt: "", draggable: false, hidden: !urls.has(item.id) });
  if (urls.has(item.id)) image.src = urls.get(item.id);
  const picture = h("button", { type: "button", class: "picture", tabindex: "-1", "aria-label": `Open ${item.label}`, title: item.name,
    onclick: (event) => press(item, event), ondblclick: () => goTo(item.id) }, image);
  const star = h("button", { type: "button", class: "star", tabindex: "-1", "aria-label": `Star ${item.name}`, "aria-pressed": String(item.starred), onclick: () => setStar(item, !item.starred) }, controls.icon("star"));
  const choose = h("input", { type: "checkbox", tabindex: "-1", class: "choose", "aria-label": `Choose ${item.name}`, checked: state.chosen.has(item.id), onclick: (event) => pick(item, event.shiftKey) });
  const box = h("div", { class: "studio-tile", role: "listitem", "data-id": item.id, "data-chosen": state.chosen.has(item.id) ? "1" : null }, picture, choose, star);
  picture.addEventListener("pointerdown", () => fetchRecipe(item));
  picture.addEventListener("focus", () => fetchRecipe(item));
  drops.give(picture, () => ({ recipe: item.recipe, url: urls.get(item.id), name: item.name }));
  watcher.observe(box);
  return box;
}

// ---- thumbnails, only of what is on the screen ------------------------------------------------------------------------
const wanted = new Set();
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) wanted.delete(target.dataset.id);
    else if (!urls.has(target.dataset.id)) wanted.add(target.dataset.id);
  }
  fetchThumbnails();
}, { root: null, rootMargin: "400px" });

async function fetchThumbnails() {
  if (isAsking) return;
  isAsking = true;
  try {
    while (wanted.size) {
      const ids = [...wanted].slice(0, LOT);
      ids.forEach((id) => wanted.delete(id));
      const answer = await guarded(() => call(server, "thumbnails", { ids }));
      if (!answer) return;
      for (const [id, url] of Object.entries(answer.urls)) {
        if (!url) continue;
        urls.set(id, url);
        const image = tileOf(id)?.querySelector("img");
        if (image) { image.src = url; image.hidden = false; }
      }
      while (urls.size > 3000) urls.delete(urls.keys().next().value);
    }
  } finally {
    isAsking = false;
  }
}

/** Have the recipe at hand before a drag starts, which cannot wait. */
async function fetchRecipe(item) {
  if (item.recipe || !item.has_recipe) return;
  const answer = await guarded(() => call(server, "recipes", { ids: [item.id] }));
  item.recipe = answer?.recipes[0]?.recipe;
}

// ---- choosing ---------------------------------------------------------------------------------------------------------
function press(item, event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) pick(item, event.shiftKey);
  else open(item);
}

function pick(item, isRange) {
  const isOn = !state.chosen.has(item.id);
  const at = state.items.findIndex((other) => other.id === item.id);
  const from = isRange && state.anchor !== null ? state.anchor : at;
  for (let i = Math.min(from, at); i <= Math.max(from, at); i += 1) state.chosen[isOn ? "add" : "delete"](state.items[i].id);
  state.anchor = at;
  showChosen();
}

function showChosen() {
  for (const box of grid.children) {
    const isOn = state.chosen.has(box.dataset.id);
    box.toggleAttribute("data-chosen", isOn);
    box.querySelector(".choose").checked = isOn;
  }
  const number = state.chosen.size;
  chosenWords.textContent = number ? `${number} chosen` : "";
  [toMix, sheetButton, removeButton, clear].forEach((button) => { button.hidden = !number; });
}

function onGridKey(event) {
  const box = event.target.closest(".studio-tile");
  if (!box) return;
  const all = [...grid.children];
  const across = Math.max(1, Math.round(grid.clientWidth / (box.offsetWidth + 4)));
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key];
  const item = state.items.find((other) => other.id === box.dataset.id);
  if (step) {
    const next = all[all.indexOf(box) + step];
    if (next) {
      box.querySelector(".picture").tabIndex = -1;
      next.querySelector(".picture").tabIndex = 0;
      next.querySelector(".picture").focus();
    }
  } else if (event.key === " ") pick(item, event.shiftKey);
  else if (event.key === "s") setStar(item, !item.starred);
  else if (event.key === "Delete") removeItems([item.id]);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

// ---- what can be done with pictures -----------------------------------------------------------------------------------
async function setStar(item, isOn) {
  const entry = await guarded(() => call(server, "star", { id: item.id, on: isOn }));
  if (!entry) return;
  Object.assign(item, entry);
  tileOf(item.id)?.querySelector(".star").setAttribute("aria-pressed", String(item.starred));
  if (shown?.id === item.id) starShown.setAttribute("aria-pressed", String(item.starred));
  status(isOn ? `${item.name} has a star.` : `${item.name} has no star any more.`);
}

async function goTo(id) {
  const found = await guarded(() => call(server, "return_to", { id }));
  if (!found) return;
  if (found.recipe.restyle) {
    dialog.close();
    await tabs.show("restyle");
    if (window.studio.photos.reopen) await window.studio.photos.reopen({ id: found.id, recipe: found.recipe, name: found.name, url: urls.get(found.id) });
    return;
  }
  if (found.recipe.film) {
    dialog.close();
    await film.bring(found.recipe);
    status(`Everything is as it was for ${found.name}.`);
    return;
  }
  if (await recipe.replace(found.recipe, { source: "gallery" })) {
    dialog.close();
    await tabs.show("explore");
    status(`Back to ${found.name}. Undo brings back what was there.`);
  }
}

async function mixThem() {
  const answer = await guarded(() => call(server, "recipes", { ids: [...state.chosen] }));
  if (!answer) return;
  await tabs.show("mix");
  emit("mix-add", answer.recipes.filter((found) => !found.recipe.restyle));
}

async function save(path, payload) {
  const answer = await guarded(() => call(server, path, payload));
  if (!answer) return;
  hand(await (await fetch(answer.url)).blob(), answer.name);
}

/** A film comes part by part, however long it is. */
async function saveFilm(item) {
  const blob = await guarded(() => fetchParts(server, "film_part", item.id));
  if (blob) hand(blob, item.name);
}

function hand(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
  status(`${name} goes to your downloads.`);
}

let lastTrashed = [];
async function removeItems(ids) {
  const answer = await guarded(() => call(server, "remove", { ids }));
  if (!answer) return;
  lastTrashed = answer.trashed;
  ids.forEach((id) => state.chosen.delete(id));
  dialog.close();
  await browse();
  undoRemove.hidden = false;
  undoRemove.focus();
  status(answer.say);
}

async function bringBack() {
  const answer = await guarded(() => call(server, "restore", { ids: lastTrashed }));
  undoRemove.hidden = true;
  lastTrashed = [];
  if (!answer) return;
  await browse();
  status(answer.say);
}

// ---- one picture, large, with what made it beside it ----------------------------------------------------------------------
let shown = null;
const large = h("img", { class: "large", alt: "" });
const playing = h("video", { class: "large", controls: true, loop: true, playsinline: true, hidden: true });
const lines = h("dl", { class: "studio-facts" });
const title = h("h2", { id: controls.nextId("shown") });
const tagList = h("div", { class: "studio-sources", role: "list", "aria-label": "Tags" });
const tagInput = h("input", { type: "text", class: "studio-text", maxlength: "40", "aria-label": "New tag", placeholder: "add a tag" });
const starShown = controls.button({ label: "Star", icon: "star", help: "Stars find it again: S", onClick: () => shown && setStar(shown, !shown.starred) });
const returnButton = controls.button({ label: "Return to this", kind: "primary", help: "Every control goes where it was for this picture", onClick: () => goTo(shown.id) });
const bareCopy = controls.button({ label: "Without recipe", help: "A copy that says it was made by a network, but not how", onClick: () => save("download", { id: shown.id, on: false }) });
const filmSheet = controls.button({ label: "Contact sheet", icon: "grid", help: "Pictures from all over the film on one sheet", onClick: () => save("sheet", { ids: [shown.id] }) });
const dialog = h("dialog", { class: "studio-dialog studio-look", "aria-labelledby": title.id },
  h("div", { class: "studio-look-picture" }, large, playing),
  h("div", { class: "studio-look-side" }, h("div", { class: "studio-look-head" }, title, controls.button({ label: "Close", kind: "quiet", icon: "close", iconOnly: true, key: "Esc", onClick: () => dialog.close() })),
    lines, h("div", { class: "studio-tags" }, tagList, tagInput),
    h("div", { class: "studio-look-actions" }, returnButton, starShown,
      controls.button({ label: "Download", icon: "download", help: "The file as it is, with its recipe", onClick: () => (shown.seconds ? saveFilm(shown) : save("download", { id: shown.id, on: true })) }),
      filmSheet, bareCopy,
      controls.button({ label: "Remove", icon: "trash", help: "Goes to the trash; undo brings it back", onClick: () => removeItems([shown.id]) }))));

async function open(item) {
  const answer = await guarded(() => call(server, "look", { id: item.id }));
  if (!answer) return;
  shown = Object.assign(item, answer, { url: undefined });
  large.src = answer.url || "";
  large.alt = item.label;
  stopFilm();
  if (item.seconds) playFilm(item);
  title.textContent = item.name;
  lines.replaceChildren(...answer.lines.map(([what, value]) => h("div", {}, h("dt", { text: what }), h("dd", { text: value }))));
  returnButton.disabled = !answer.recipe;
  filmSheet.hidden = !item.seconds;
  bareCopy.hidden = !!item.seconds;
  starShown.setAttribute("aria-pressed", String(item.starred));
  showTags(item);
  if (!dialog.open) dialog.showModal();
}

/** Fetch a film and play it; animated pictures move by themselves. */
async function playFilm(item) {
  const blob = await guarded(() => fetchParts(server, "film_part", item.id));
  if (!blob || shown?.id !== item.id || !dialog.open) return;
  const url = URL.createObjectURL(blob);
  if (blob.type.startsWith("image/")) {
    large.src = url;
    return;
  }
  playing.src = url;
  playing.setAttribute("aria-label", item.label);
  large.hidden = true;
  playing.hidden = false;
  playing.play().catch(() => {});
}

function stopFilm() {
  playing.pause();
  if (playing.src) URL.revokeObjectURL(playing.src);
  playing.removeAttribute("src");
  playing.hidden = true;
  large.hidden = false;
}

function showTags(item) {
  tagList.replaceChildren(...item.tags.map((name) => h("div", { class: "studio-chip", role: "listitem" }, h("span", { text: name }),
    h("button", { type: "button", "aria-label": `Take the tag ${name} away`, onclick: () => setTag(item, name, false) }, controls.icon("close")))));
}

async function setTag(item, name, isOn) {
  const entry = await guarded(() => call(server, "tag", { id: item.id, tag: name, on: isOn }));
  if (!entry) return;
  Object.assign(item, entry);
  showTags(item);
}

tagInput.addEventListener("keydown", async (event) => {
  if (event.key !== "Enter" || !tagInput.value.trim()) return;
  event.preventDefault();
  await setTag(shown, tagInput.value.trim(), true);
  tagInput.value = "";
});
dialog.addEventListener("keydown", (event) => {
  if (event.target.matches("input")) return;
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step) {
    const next = state.items[state.items.findIndex((item) => item.id === shown.id) + step];
    if (next) open(next);
  } else if (event.key === "s") setStar(shown, !shown.starred);
  else return;
  event.preventDefault();
  event.stopPropagation();
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", stopFilm);
dialog.addEventListener("close", () => shown && tileOf(shown.id)?.querySelector(".picture").focus());

// ---- put together -----------------------------------------------------------------------------------------------------
const suggestions = h("datalist", { id: controls.nextId("suggestions") });
const search = h("input", { type: "search", class: "studio-text studio-search", "aria-label": "Search", placeholder: "Search: words, model:…, seed:…, tag:…", list: suggestions.id });
let typing = 0;
search.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => { state.query = search.value; browse(); }, 200);
});
const starredOnly = controls.toggle({ label: "Starred", help: "Shows only pictures with a star", onChange: (isOn) => { state.starred = isOn; browse(); } });
const count = h("output", { class: "studio-quiet", "aria-live": "polite" });
const chosenWords = h("span", { class: "studio-quiet", "aria-live": "polite" });
const toMix = controls.button({ label: "To Mix", icon: "grid", help: "Puts the chosen pictures across the top of the mixing sheet", onClick: mixThem });
const sheetButton = controls.button({ label: "Contact sheet", icon: "download", help: "One picture with all that are chosen", onClick: () => save("sheet", { ids: [...state.chosen] }) });
const removeButton = controls.button({ label: "Remove", icon: "trash", help: "Goes to the trash; undo brings it back", onClick: () => removeItems([...state.chosen]) });
const clear = controls.button({ label: "Choose none", kind: "quiet", onClick: () => { state.chosen.clear(); showChosen(); } });
const undoRemove = controls.button({ label: "Undo remove", icon: "undo", onClick: bringBack });
undoRemove.hidden = true;
const grid = h("div", { class: "studio-tiles", role: "list", "aria-label": "Pictures, newest first" });
grid.addEventListener("keydown", onGridKey);
const empty = h("div", { class: "studio-empty studio-blank", hidden: true });
const moreButton = controls.button({ label: "Show more", onClick: () => browse({ more: true }) });
moreButton.hidden = true;
const folder = h("p", { class: "studio-quiet studio-folder" });

root.append(h("div", { class: "studio-page" },
  h("div", { class: "studio-bar-row", role: "toolbar", "aria-label": "Gallery" }, h("div", { class: "grow" }, search, suggestions), starredOnly.element, count, h("span", { class: "grow" }), chosenWords, toMix, sheetButton, removeButton, clear, undoRemove),
  grid, empty, h("div", { class: "studio-more" }, moreButton), folder), dialog);
keys.register({ key: "/", title: "Search the gallery", tab: "gallery", run: () => search.focus() });
on("gallery-look", async (id) => {
  await browse();
  const item = state.items.find((other) => other.id === id);
  if (item) open(item);
});
on("gallery", () => { if (tabs.current() === "gallery") browse(); });
on("tab", (id) => { if (id === "gallery") browse(); });
on("ready", () => browse());
window.studio.mounted(element);
