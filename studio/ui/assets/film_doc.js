/* The film being edited: the recipe with its timeline, its steps, what can move in it. The Animate tab's server is given when its
 * widget is mounted; everything else on the page only needs studio.film. Files of films, sounds and presets find their way here. */
(() => {
  "use strict";
  const { on, emit, call, guarded, latestWins, clone, same, status, tabs, drops, session, Refused } = window.studio;
  const KEY = "studio.film.v1";
  const FILES = /\.(mp4|m4v|mov|webm|mkv|apng|mp3|wav|flac|ogg|opus|m4a|aac|aiff?|wma|midi?|json)$/i;

  const film = {
    server: null,
    upload: null,
    value: null,
    facts: { count: 1, rate: 30, seconds: 1, targets: [], sounds: [] },
    desk: null,
    steps: { undo: 0, redo: 0 },
    /** Sounds that the studio listens to now. */
    listening: [],
    time: 0,

    /** Give the film its server; brings back what was there before a reload. */
    async begin(server, upload) {
      Object.assign(film, { server, upload });
      film.desk = await guarded(() => call(server, "desk"));
      if (!film.desk) return;
      emit("film-desk", film.desk);
      film.steps = film.desk.steps;
      const known = film.desk.recipe || remembered();
      if (known && session.models.length) await film.open(known, { isQuiet: true, record: !film.desk.recipe });
      else emit("film", { recipe: null, source: "start" });
      waiting.splice(0).forEach((done) => done());
    },

    /** Put a whole film in place, e.g. of a dropped file. */
    open: (recipe, { isQuiet = false, record = true } = {}) => inOrder(async () => {
      const answer = isQuiet ? await call(film.server, "adopt", { recipe, record }).catch(forget) : await call(film.server, "adopt", { recipe, record });
      if (answer) take(answer, "open");
    }),

    /** Change the film: film.edit((film, recipe) => ...). done: the hand let go, which makes one undo step. */
    edit(mutate, done = true, source = "edit") {
      if (!film.value) return;
      const next = clone(film.value);
      mutate(next.film, next);
      if (!same(next, film.value)) {
        film.value = next;
        store();
        emit("film", { recipe: next, source });
      }
      if (done) film.commit();
      else hold(film.value);
    },

    commit: () => inOrder(async () => {
      const sent = film.value;
      const answer = await call(film.server, "adopt", { recipe: sent, record: true });
      if (same(film.value, sent)) take(answer, "commit");
      else facts(answer);
    }),

    step: (name) => inOrder(async () => {
      const answer = await call(film.server, name);
      if (answer.recipe) take(answer, name);
      status(answer.recipe ? (name === "undo" ? "Undone." : "Done again.") : answer.say);
    }),

    /** Ask the server for a changed film (a route, a preset, a keyframe) and show what it says. Returns the answer. */
    ask: (name, payload) => inOrder(async () => {
      const answer = await call(film.server, name, payload);
      if (answer.recipe) take(answer, name);
      if (answer.say) status(answer.say);
      return answer;
    }),

    /** The server forgot the film (it was started anew): give it back. */
    again: () => inOrder(async () => facts(await call(film.server, "adopt", { recipe: film.value, record: true }))),

    target: (path) => film.facts.targets.find((entry) => entry.path === path),
    lane: (path) => film.value?.film.lanes.find((lane) => lane.target === path),
    places: () => film.value?.film.latents.find((lane) => lane.target === "latent"),
    frameOf: (time) => Math.min(film.facts.count - 1, Math.max(0, Math.floor(time * film.facts.rate + 1e-6))),
    snap: (time) => Math.max(0, Math.min(film.facts.seconds, Math.round(time * film.facts.rate) / film.facts.rate)),
  };

  let last = Promise.resolve();
  function inOrder(task) {
    last = last.then(() => guarded(task));
    return last;
  }

  const hold = latestWins(async (recipe) => {
    await last;
    const answer = await guarded(() => call(film.server, "adopt", { recipe, record: false }));
    if (answer) emit("film-held");
  });

  function facts(answer) {
    film.steps = answer.steps;
    film.facts = { count: answer.count, rate: answer.rate, seconds: answer.seconds, targets: answer.targets, sounds: answer.sounds };
    emit("film-facts", film.facts);
  }

  function take(answer, source) {
    film.value = answer.recipe;
    store();
    facts(answer);
    emit("film", { recipe: film.value, source });
  }

  function forget(error) {
    if (!(error instanceof Refused)) throw error;
    emit("film", { recipe: null, source: "start" });
    return null;
  }

  function remembered() {
    try {
      return JSON.parse(localStorage.getItem(KEY));
    } catch {
      return null;
    }
  }

  let storing = 0;
  function store() {
    clearTimeout(storing);
    storing = setTimeout(() => {
      try {
        localStorage.setItem(KEY, JSON.stringify(film.value));
      } catch {
        localStorage.removeItem(KEY);
      }
    }, 300);
  }

  // ---- files that are meant for the film ----------------------------------------------------------------------------
  const waiting = [];
  const isReady = () => (film.desk ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve)));

  async function handle(files, point) {
    if (!tabs.has("animate")) throw new Refused("This studio has no Animate tab.");
    await tabs.show("animate");
    await isReady();
    for (const file of files) {
      status(`Opening ${file.name} …`);
      const stored = await film.upload(file);
      const answer = await film.ask("open_file", { path: stored.path, name: file.name, recipe: film.value });
      if (answer?.listening) await listen(file, answer);
    }
  }

  /** Open the recipe of a film wherever it came from: a file, the gallery. */
  film.bring = async (recipe) => {
    await tabs.show("animate");
    await isReady();
    return film.open(recipe);
  };

  /** Follow a sound that the studio listens to, while everything else on the page goes on. */
  async function listen(file, begun) {
    const work = { name: file.name, share: 0, isStopped: false, stop: () => { work.isStopped = true; } };
    film.listening.push(work);
    status(`Listening to ${file.name}. You can go on meanwhile.`);
    emit("film-listening", work);
    try {
      let state = begun;
      while (!state.done) {
        state = await call(film.server, "listen_state", { id: begun.listening, on: !work.isStopped });
        work.share = state.share;
        emit("film-listening", work);
      }
      if (state.refused) throw new Refused(state.refused);
      emit("film-sound", { file, ...state });
    } finally {
      film.listening.splice(film.listening.indexOf(work), 1);
      emit("film-listening", work);
    }
  }

  drops.register({ name: "film", order: 8, accepts: (file) => /^audio\//.test(file.type) || FILES.test(file.name), handle });

  /** Tell a zip of film frames by the end of its list of entries. */
  async function isOurZip(file) {
    if (!/\.zip$/i.test(file.name)) return false;
    const end = await file.slice(Math.max(0, file.size - 1024)).text();
    return end.includes("film.json") && end.includes("recipe.json");
  }
  drops.register({ name: "film-zip", order: 7, accepts: isOurZip, handle });

  /** Fetch a large file part by part: a Blob. ask: the name of the server's function. */
  async function fetchParts(server, ask, id) {
    const parts = [];
    let mime = "";
    for (let offset = 0, size = 1; offset < size;) {
      const answer = await call(server, ask, { id, offset });
      if (answer.next <= offset) break;
      parts.push(Uint8Array.from(atob(answer.data), (letter) => letter.charCodeAt(0)));
      offset = answer.next;
      ({ size, mime } = answer);
    }
    return new Blob(parts, { type: mime });
  }

  on("models", () => { if (film.value && film.server && !film.facts.targets.length) film.open(film.value, { isQuiet: true }); });
  Object.assign(window.studio, { film, fetchParts });
})();
