const { h, on, call, guarded, latestWins, controls, model, tabs, decode, session } = window.studio;
const root = element.querySelector(".studio-widget");
const at = { x: 42, y: 0, psi: 0.8 };
let cards = [];

const row = h("div", { class: "studio-history-row", role: "list" });
const seed = controls.number({ label: "Seed of all", value: at.x, low: 0, high: 2 ** 32 - 1, step: 1, fine: 0.01, onInput: (x) => { at.x = x; play(); } });
const randomButton = controls.button({ label: "Random", icon: "dice", kind: "primary", key: "R", help: "The same random seed for all of them", onClick: random });
const pad = h("input", { type: "range", min: "0", max: "1", step: "0.005", value: "0", "aria-label": "Between this seed and the next", oninput: () => { at.x = Math.floor(at.x) + Math.min(Number(pad.value), 0.995); seed.show(at.x); play(); } });
const travel = h("label", { class: "studio-field" }, h("span", { text: "Towards the next seed" }), h("div", { class: "studio-track" }, pad));
const psi = h("div", { class: "psi" });
const dialog = h("dialog", { class: "studio-dialog studio-history", "aria-label": "History of GANs" },
  h("div", { class: "studio-widget" },
    h("div", { class: "head" }, h("h2", { text: "The same pictures through every generation of GANs" }), controls.button({ label: "Close", icon: "close", iconOnly: true, kind: "quiet", onClick: () => dialog.close() })),
    h("div", { class: "pads" }, controls.field("Seed of all", seed, "One seed, drawn by all of them"), travel, psi, randomButton),
    row));

/** All models draw the same place; one that fails says why in its own card. */
const play = latestWins(async () => {
  const wanted = { ...at };
  pad.value = String(wanted.x % 1);
  await Promise.all(cards.map(async ({ entry, image, problem }) => {
    try {
      const answer = await call(server, "play", { name: entry.name, ...wanted });
      await decode(answer.url);
      image.src = answer.url;
      image.dataset.seed = String(wanted.x);
      problem.textContent = "";
    } catch (error) {
      if (!(error instanceof window.studio.Refused)) throw error;
      problem.textContent = error.message;
    }
  }));
});

function random() {
  at.x = Math.floor(Math.random() * 100000);
  seed.show(at.x);
  play();
}

async function explore(entry) {
  dialog.close();
  await tabs.show("explore");
  await model.choose(entry.name);
  window.studio.recipe.change({ "latent.x": at.x, "latent.y": at.y, "latent.ws": "" });
  window.studio.recipe.commit();
}

function card(entry) {
  const image = h("img", { alt: `${entry.title}, the seed of all`, class: "picture" });
  const problem = h("p", { class: "studio-problem" });
  const open = h("button", { type: "button", class: "studio-history-card", title: `Open ${entry.name} in Explore`, onclick: () => explore(entry) },
    image, h("b", { text: entry.title }), h("span", { class: "year", text: String(entry.year) }), h("span", { class: "brought", text: entry.brought }), h("small", { text: entry.paper }));
  return { entry, image, problem, element: h("div", { role: "listitem" }, open, problem) };
}

async function show() {
  const answer = await guarded(() => call(server, "generations"));
  if (!answer?.models.length) return;
  cards = answer.models.map(card);
  row.replaceChildren(...cards.map((entry) => entry.element));
  if (!dialog.open) dialog.showModal();
  play();
}

dialog.addEventListener("keydown", (event) => {
  if (event.key !== "r" || event.target.matches("input[type=number]") || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  random();
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
on("ready", () => {
  const bounds = session.bounds["truncation.psi"];
  psi.append(controls.slider({ label: "Psi of all", help: bounds.help, low: -2, high: 2, value: at.psi, reset: 0.8, onInput: (value) => { at.psi = value; play(); } }).element);
});
on("history", show);
document.body.append(dialog);
window.studio.mounted(element);
