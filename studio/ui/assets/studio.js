/* The page's own core: one namespace with the session, the recipe being edited, the status line, tabs and theme.
 * Widgets build on it; it knows none of them. Plain JavaScript, no dependency, nothing from another host. */
(() => {
  "use strict";
  if (window.studio) return;

  const bus = new EventTarget();
  const TOKEN = "studio.token";
  const RECIPE = "studio.recipe.v1";
  const THEME = "studio.theme";
  const TAB = "studio.tab";

  /** Create an element: h("button", {class: "quiet", onclick: f}, "Save"). */
  function h(tag, attributes = {}, ...children) {
    const svg = ["svg", "path", "circle", "line", "rect", "polyline"].includes(tag);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on") && typeof value === "function") node.addEventListener(name.slice(2), value);
      else if (name === "class") node.setAttribute("class", value);
      else if (name === "text") node.textContent = value;
      else if (name in node && !svg && !name.startsWith("aria") && typeof value !== "string") node[name] = value;
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  }

  /** These are remembered: who listens later hears the last one at once (tabs are mounted when they are first opened). */
  const STANDING = new Set(["ready", "models", "model", "recipe", "steps", "strip", "speed"]);
  const latest = new Map();

  function emit(name, detail) {
    if (STANDING.has(name)) latest.set(name, detail);
    bus.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** Listen: studio.on("recipe", ({recipe, source}) => ...). Returns the function that stops it. */
  function on(name, listener) {
    const wrapped = (event) => listener(event.detail);
    bus.addEventListener(name, wrapped);
    if (latest.has(name)) queueMicrotask(() => listener(latest.get(name)));
    return () => bus.removeEventListener(name, wrapped);
  }

  // ---- status line -------------------------------------------------------------------------------------------
  /** Show one sentence at the bottom of the page and read it out. kind: "info" | "error". */
  function status(sentence, kind = "info") {
    const line = document.getElementById("studio-status");
    if (!line) return;
    line.dataset.kind = kind;
    if (line.textContent === sentence) line.textContent = "";
    line.textContent = sentence;
  }

  // ---- talking to the server ---------------------------------------------------------------------------------
  class Refused extends Error {}

  /** Call a Python function of a widget with the session's token; throws Refused with the sentence to show. */
  async function call(server, name, payload = {}) {
    await session.ready;
    const { token } = session;
    try {
      return await callBare(server, name, { token, ...payload });
    } catch (error) {
      if (!error.isGone) throw error;
      await renew(token);
      return callBare(server, name, { token: session.token, ...payload });
    }
  }

  /** The server forgot this session (it was started anew): take another and go on with what is on the page. */
  let renewing = null;
  function renew(token) {
    if (session.token !== token) return Promise.resolve();
    renewing ||= hello().then((answer) => {
      session.token = answer.token;
      sessionStorage.setItem(TOKEN, answer.token);
      emit("steps", answer.steps);
    }).finally(() => { renewing = null; });
    return renewing;
  }

  const hello = () => callBare(session.server, "hello", { token: session.token || sessionStorage.getItem(TOKEN) || "", recipe: recipe.value || read(localStorage, RECIPE) });

  async function callBare(server, name, payload) {
    let answer;
    try {
      answer = await server[name](payload);
    } catch (error) {
      throw new Refused("The studio does not answer. Is it still running?");
    }
    if (answer && answer.error) throw Object.assign(new Refused(answer.error), { isGone: answer.gone === true });
    return answer;
  }

  /** Run a task and show what it says when it is refused; returns undefined then. */
  async function guarded(task) {
    try {
      return await task();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      status(error.message, "error");
      return undefined;
    }
  }

  /** Keep one call in flight; while it runs only the newest value is kept, the ones between are dropped. */
  function latestWins(task) {
    let running = false;
    let next = null;
    async function pump() {
      running = true;
      while (next) {
        const { value } = next;
        next = null;
        await task(value, () => next !== null);
      }
      running = false;
    }
    return (value) => {
      next = { value };
      if (!running) pump();
    };
  }

  const clone = (value) => JSON.parse(JSON.stringify(value));
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

  on("speed", ({ note }) => {
    if (note && note !== on.lastNote) status(note);
    on.lastNote = note;
  });

  // ---- session -----------------------------------------------------------------------------------------------
  let isReady;
  const session = {
    server: null,
    token: "",
    ready: new Promise((resolve) => { isReady = resolve; }),
    bounds: {},
    defaults: {},
    models: [],
    settings: {},
  };

  /** Greet the server once; the token lives in this browser tab, the last recipe in this browser. */
  async function start(server) {
    session.server = server;
    const answer = await guarded(hello);
    if (!answer) return;
    session.token = answer.token;
    sessionStorage.setItem(TOKEN, answer.token);
    Object.assign(session, { bounds: answer.bounds, defaults: answer.defaults, models: answer.models, settings: answer.settings });
    model.facts = answer.model;
    recipe.value = answer.recipe;
    isReady();
    emit("ready", answer);
    emit("models", session.models);
    if (model.facts) emit("model", model.facts);
    emit("steps", answer.steps);
    emit("strip", answer.strip);
    emit("recipe", { recipe: recipe.value, source: "start" });
    const tab = history.state?.tab || sessionStorage.getItem(TAB);
    if (tab && tab !== tabs.current() && tabs.has(tab)) tabs.show(tab);
  }

  function read(storage, key) {
    try {
      return JSON.parse(storage.getItem(key));
    } catch {
      return null;
    }
  }

  // ---- the recipe being edited -------------------------------------------------------------------------------
  let storing = 0;
  function store() {
    clearTimeout(storing);
    storing = setTimeout(() => localStorage.setItem(RECIPE, JSON.stringify(recipe.value)), 200);
  }

  const recipe = {
    value: null,
    /** Read a value by its dotted path, e.g. "truncation.psi". */
    get(path) {
      return path.split(".").reduce((part, key) => (part === null || part === undefined ? part : part[key]), recipe.value);
    },
    /** Change values while a hand moves: {"truncation.psi": 0.5}. Draws a preview, makes no undo step. */
    change(values, source = "") {
      const next = clone(recipe.value);
      for (const [path, value] of Object.entries(values)) {
        const keys = path.split(".");
        const last = keys.pop();
        keys.reduce((part, key) => part[key], next)[last] = value;
      }
      if (same(next, recipe.value)) return;
      recipe.value = next;
      store();
      emit("recipe", { recipe: next, source });
    },
    /** The hand let go: draw in full quality and make it one undo step. */
    commit() {
      emit("commit", { recipe: recipe.value, record: true });
    },
    /** Put another whole recipe in place (a dropped file, a picture of the strip, a cell); commit unless told not to. */
    async replace(next, { commit = true, record = true, source = "replace" } = {}) {
      if (next.model.name && (!model.facts || next.model.name !== model.facts.name)) {
        if (!(await model.facts_of(next.model.name))) return false;
      }
      recipe.value = clone(next);
      store();
      emit("recipe", { recipe: recipe.value, source });
      if (commit) emit("commit", { recipe: recipe.value, record });
      return true;
    },
  };

  // ---- the model ---------------------------------------------------------------------------------------------
  const model = {
    facts: null,
    async facts_of(name) {
      emit("loading", name);
      const facts = await guarded(() => call(session.server, "model_facts", { name }));
      emit("loaded", name);
      if (!facts) return null;
      model.facts = facts;
      emit("model", facts);
      return facts;
    },
    /** Choose another generator: the place stays, what does not fit the new model is left out. */
    async choose(name) {
      if (model.facts && model.facts.name === name) return;
      const facts = await model.facts_of(name);
      if (!facts) return;
      const next = clone(recipe.value);
      next.model = { name: facts.name, sha256: facts.sha256 };
      next.latent.classes = [];
      next.latent.ws = "";
      next.mixing = [];
      next.blends = [];
      next.restyle = null;
      next.truncation.center = null;
      next.truncation.towards = facts.towards;
      if (next.truncation.cutoff !== null && next.truncation.cutoff > facts.num_ws) next.truncation.cutoff = null;
      if (!facts.has_noise) next.noise = clone(session.defaults.noise);
      if (!facts.has_transform) next.transform = clone(session.defaults.transform);
      await recipe.replace(next, { source: "model" });
      status(`${facts.title}: ${facts.resolution} pixels.`);
    },
    /** Ask again what is installed (after an import, a rename, a removal). */
    async refresh() {
      const answer = await guarded(() => call(session.server, "list_models"));
      if (!answer) return;
      session.models = answer.models;
      emit("models", answer.models);
    },
  };

  // ---- tabs and theme ----------------------------------------------------------------------------------------
  /** On a narrow page some are in Gradio's overflow menu, where buttons have no id but the tab's word, which is its id. */
  const tabs = {
    list: () => [...document.querySelectorAll("#studio-tabs > .tab-wrapper :is([role=tab], .overflow-dropdown button)")],
    idOf: (tab) => tab?.dataset.tabId || tab?.textContent.trim().toLowerCase(),
    current: () => tabs.idOf(tabs.list().find((tab) => tab.getAttribute("aria-selected") === "true" || tab.classList.contains("selected"))),
    has: (id) => tabs.list().some((tab) => tabs.idOf(tab) === id),
    /** Show a tab by its id, e.g. "mix"; resolves when its widgets are in the page, or somebody went elsewhere meanwhile. */
    async show(id) {
      let wasShown = false;
      for (let tries = 0; tries < 200; tries += 1) {
        const isShown = tabs.current() === id;
        if (isShown && document.querySelector(`#tab-${id} .studio-widget`)?.dataset.ready) return;
        if (wasShown && !isShown) return;
        wasShown ||= isShown;
        if (!isShown && tries % 40 === 0) tabs.list().find((tab) => tabs.idOf(tab) === id)?.click(); // a page that is still being built loses clicks
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
    },
  };

  const theme = {
    dark: () => document.body.classList.contains("dark"),
    set(dark) {
      document.body.classList.toggle("dark", dark);
      document.documentElement.style.colorScheme = dark ? "dark" : "light";
      emit("theme", dark);
    },
    toggle() {
      localStorage.setItem(THEME, theme.dark() ? "light" : "dark");
      theme.set(!theme.dark());
    },
    restore() {
      const chosen = localStorage.getItem(THEME);
      theme.set(chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
    },
  };

  /** Tell everyone when a tab is opened, on("tab", (id) => ...), and let the browser's Back and Forward go through the tabs. */
  addEventListener("click", (event) => {
    const tab = event.target instanceof Element && event.target.closest("#studio-tabs [role=tab], #studio-tabs .overflow-dropdown button");
    if (!tab) return;
    const id = tabs.idOf(tab);
    if (!history.state?.tab) history.replaceState({ ...history.state, tab: tabs.current() }, "");
    const isNew = history.state.tab !== id; // Back and Forward change the state first, then click
    const arrive = (tries) => {
      if (tabs.current() !== id) {
        if (tries < 100) setTimeout(arrive, 10, tries + 1); // Gradio is still at it, or the click was lost
        return;
      }
      sessionStorage.setItem(TAB, id);
      if (isNew) history.pushState({ ...history.state, tab: id }, "");
      emit("tab", id);
    };
    requestAnimationFrame(() => setTimeout(arrive, 0, 0));
  }, true);
  addEventListener("popstate", (event) => {
    const id = event.state?.tab;
    if (id && id !== tabs.current() && tabs.has(id)) tabs.show(id);
  });

  /** Mark a widget's element as working, so that tabs.show() can wait for it. Call it last in a widget's script. */
  function mounted(element) {
    const root = element.querySelector(".studio-widget") || element;
    root.dataset.ready = "1";
  }

  /** Decode an image URL, ready to be drawn without a flash. */
  async function decode(url) {
    const image = new Image();
    image.src = url;
    await image.decode();
    return image;
  }

  window.studio = {
    h, on, emit, status, call, guarded, Refused, latestWins, clone, same, session, start, recipe, model, tabs, theme, mounted, decode,
  };
})();
