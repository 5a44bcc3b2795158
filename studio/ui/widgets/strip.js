const { h, on, call, guarded, recipe, status, drops, controls, tabs } = window.studio;
const root = element.querySelector(".studio-widget");
const row = h("div", { class: "studio-strip-row", role: "list" });
const empty = h("p", { class: "studio-strip-empty", text: "Pictures you make gather here. Click one to go back to it, star it to keep it, drag it onto Mix." });
const line = h("p", { id: "studio-status", role: "status", "aria-live": "polite" });
const back = controls.button({ label: "Newer pictures", kind: "quiet", icon: "left", iconOnly: true, onClick: () => slide(-1) });
const onward = controls.button({ label: "Older pictures", kind: "quiet", icon: "right", iconOnly: true, onClick: () => slide(1) });
let items = [];
window.studio.stripItems = () => items;

function slide(direction) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  row.scrollBy({ left: direction * row.clientWidth * 0.8, behavior: calm ? "auto" : "smooth" });
}

function edges() {
  back.disabled = row.scrollLeft < 4;
  onward.disabled = row.scrollLeft + row.clientWidth > row.scrollWidth - 4;
}

async function keep(item, star) {
  const answer = await guarded(() => call(server, "keep", { id: item.id, on: !item.kept }));
  if (!answer) return;
  item.kept = answer.kept;
  star.setAttribute("aria-pressed", String(!!item.kept));
  status(answer.say);
  window.studio.emit("gallery");
}

async function goBack(item, event) {
  if (event.shiftKey) return window.studio.emit("compare", { url: item.url, name: item.name });
  if (item.recipe.restyle) {
    await tabs.show("restyle");
    return window.studio.photos.reopen?.(item);
  }
  if (await recipe.replace(item.recipe, { source: "strip" })) {
    if (!tabs.current()?.match(/explore|animate/)) await tabs.show("explore");
    status(`Back to ${item.name}.`);
  }
  return undefined;
}

function card(item) {
  const star = h("button", { type: "button", class: "star", "aria-label": `Keep ${item.name}`, "aria-pressed": String(!!item.kept), onclick: () => keep(item, star) }, controls.icon("star"));
  const picture = h("button", { type: "button", class: "picture", "aria-label": `Go back to ${item.name}`, onclick: (event) => goBack(item, event) }, h("img", { src: item.url, alt: "", draggable: false }));
  picture.title = `${item.name}\nClick: go back there. Shift-click: compare with it.`;
  drops.give(picture, () => ({ recipe: item.recipe, url: item.url, name: item.name }));
  return h("div", { class: "studio-strip-item", role: "listitem", "data-id": item.id }, picture, star);
}

function draw() {
  empty.hidden = items.length > 0;
  row.replaceChildren(...items.map(card));
  edges();
}

on("strip", (all) => {
  items = all;
  draw();
});
on("picture-made", (item) => {
  items = [item, ...items.filter((other) => other.id !== item.id)].slice(0, 80);
  row.querySelector(`[data-id="${CSS.escape(item.id)}"]`)?.remove();
  row.prepend(card(item));
  while (row.children.length > items.length) row.lastElementChild.remove();
  empty.hidden = true;
  row.scrollLeft = 0;
  edges();
});
row.addEventListener("scroll", edges, { passive: true });
row.addEventListener("keydown", (event) => {
  const to = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!to) return;
  const all = [...row.querySelectorAll("button.picture")];
  const next = all[all.indexOf(event.target.closest(".studio-strip-item")?.querySelector(".picture")) + to];
  if (!next) return;
  event.preventDefault();
  next.focus();
});
new ResizeObserver(edges).observe(row);
root.append(h("div", { class: "studio-strip-line" }, back, h("div", { class: "studio-strip-view" }, empty, row), onward), line);
draw();
window.studio.mounted(element);
