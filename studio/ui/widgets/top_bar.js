const { h, on, emit, call, guarded, session, model, recipe, status, drops, controls, keys, theme, tabs, Refused } = window.studio;
const root = element.querySelector(".studio-widget");

// ---- model picker: a listbox in a popover ------------------------------------------------------------------------
const name = h("span", { class: "name", text: "…" });
const preview = h("img", { alt: "", class: "thumb", hidden: true });
const list = h("div", { class: "studio-picker-list", role: "listbox", id: "studio-picker-list", "aria-label": "Models", tabindex: "-1", hidden: true });
const picker = h("button", { type: "button", class: "studio-picker", "aria-haspopup": "listbox", "aria-expanded": "false", "aria-controls": list.id, "aria-label": "Model" },
  preview, name, controls.icon("down"));
let shown = [];

function options() {
  return [...list.querySelectorAll("[role=option]")];
}

function open(isOpen) {
  if (isOpen && !shown.length) return tabs.show("models");
  list.hidden = !isOpen;
  picker.setAttribute("aria-expanded", String(isOpen));
  if (!isOpen) return undefined;
  const current = options().find((option) => option.getAttribute("aria-selected") === "true") || options()[0];
  current?.focus();
  current?.scrollIntoView({ block: "nearest" });
  return undefined;
}

function draw(models) {
  shown = models.filter((entry) => entry.kind === "generator");
  list.replaceChildren(...shown.map((entry) => h("div", {
    role: "option", tabindex: "-1", "data-name": entry.name, "aria-selected": String(model.facts?.name === entry.name),
    onclick: () => { open(false); picker.focus(); model.choose(entry.name); },
  },
  entry.preview ? h("img", { src: entry.preview, alt: "" }) : h("span", { class: "blank" }),
  h("span", { class: "words" }, h("b", { text: entry.title }), h("small", { text: entry.summary })))));
  if (!shown.length) name.textContent = "No model yet";
}

function pick(facts) {
  name.textContent = facts.title;
  picker.title = facts.title;
  picker.setAttribute("aria-label", `Model: ${facts.title}`);
  const entry = shown.find((other) => other.name === facts.name);
  preview.hidden = !entry?.preview;
  if (entry?.preview) preview.src = entry.preview;
  options().forEach((option) => option.setAttribute("aria-selected", String(option.dataset.name === facts.name)));
}

picker.addEventListener("click", () => open(list.hidden));
picker.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  event.preventDefault();
  open(true);
});
list.addEventListener("keydown", (event) => {
  const all = options();
  const at = all.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to !== undefined) all[(to + all.length) % all.length]?.focus();
  else if (event.key === "Enter" || event.key === " ") document.activeElement.click();
  else if (event.key === "Escape" || event.key === "Tab") { open(false); picker.focus(); }
  else return;
  event.preventDefault();
  event.stopPropagation();
});
document.addEventListener("pointerdown", (event) => {
  if (!list.hidden && !root.contains(event.target)) open(false);
});

// ---- honest speed ------------------------------------------------------------------------------------------------
const speed = h("output", { class: "studio-speed", "aria-live": "off" });
controls.help(speed, "Where the picture is computed, and how long the model took for the last one");
let smooth = 0;
on("speed", ({ device, ms, runner }) => {
  smooth = smooth && Math.abs(ms - smooth) < smooth ? smooth * 0.8 + ms * 0.2 : ms;
  const time = smooth >= 9950 ? `${Math.round(smooth / 1000)} s` : smooth >= 995 ? `${(smooth / 1000).toFixed(1)} s` : `${Math.max(1, Math.round(smooth))} ms`;
  speed.replaceChildren(h("span", { text: device }), h("span", { class: "dot", text: "·" }), h("span", { class: "time", text: time }));
  speed.dataset.runner = runner || "";
});
on("model", () => { smooth = 0; });

root.append(
  h("span", { class: "studio-brand", text: "studio" }),
  h("div", { class: "studio-top-right" }, h("div", { class: "studio-picker-box" }, picker, list), speed,
    controls.button({ label: "Light or dark", kind: "quiet", icon: "theme", iconOnly: true, onClick: theme.toggle }),
    controls.button({ label: "Keyboard shortcuts", kind: "quiet", icon: "help", iconOnly: true, key: "?", onClick: keys.showList })),
);
on("models", draw);
on("model", pick);
on("loading", () => { picker.dataset.busy = "1"; });
on("loaded", () => { delete picker.dataset.busy; });

// ---- pictures and films dropped anywhere: ours restore every control, others are restyled --------------------------------
/** Take one file in; true when it went to Restyle. Throws Refused. */
async function openOne(file, point, isMore) {
  const stored = await upload(file).catch(() => null);
  if (!stored) throw new Refused(`${file.name} did not arrive. It may be larger than this studio takes.`);
  const isOwn = drops.isFilm(file) && tabs.current() === "restyle";
  const answer = isOwn ? { recipe: null } : await call(server, "open_picture", { path: stored.path, name: file.name });
  if (answer.recipe?.film) {
    await window.studio.film.bring(answer.recipe);
    status(answer.say);
    return false;
  }
  if (answer.recipe && !answer.recipe.restyle) {
    if (await recipe.replace(answer.recipe, { source: "file" })) {
      if (!["explore", "animate"].includes(tabs.current())) await tabs.show("explore");
      status(answer.say);
    }
    return false;
  }
  if (!window.studio.photos.handle && tabs.has("restyle")) await tabs.show("restyle");
  if (!window.studio.photos.handle) throw new Refused("This picture was not made by the studio, so it brings no settings back.");
  await window.studio.photos.handle([{ file, path: stored.path, recipe: answer.recipe || null, name: file.name }], point, { isMore });
  return true;
}

/** Take files in, one after the other: what is wrong with one does not stop the others. */
async function takeIn(files, point) {
  const refused = [];
  let isMore = false;
  for (const [place, file] of files.entries()) {
    status(files.length > 1 ? `Opening ${file.name}, ${place + 1} of ${files.length} …` : `Opening ${file.name} …`);
    try {
      isMore = (await openOne(file, point, isMore)) || isMore;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      refused.push(error.message);
    }
  }
  if (!refused.length) return;
  if (files.length === 1 || !window.studio.photos.report) throw new Refused(refused.join(" "));
  window.studio.photos.report(refused, files.length);
}

drops.register({ name: "picture", order: 7, accepts: (file) => drops.isImage(file) || (drops.isFilm(file) && tabs.current() !== "animate"), handle: takeIn });

// ---- start -------------------------------------------------------------------------------------------------------
if (matchMedia("(max-width: 900px)").matches) speed.dataset.small = "1";
theme.restore();
emit("top");
window.studio.start(server);
window.studio.mounted(element);
