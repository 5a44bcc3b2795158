/* What moves with what is heard: rows are heard, columns move, a cell says how much. Meters show what is heard now. */
(() => {
  "use strict";
  const { h, on, call, guarded, controls, film, player, filmCurves, latestWins, emit, status } = window.studio;
  const MOST_CURVES = 4;
  const rowKey = (entry) => `${entry.sound}:${entry.feature}`;

  class FilmMatrix {
    constructor(server) {
      Object.assign(this, { server, extraRows: [], extraColumns: [], chosen: null, levels: [], meters: [] });
      this.table = h("table", { class: "film-matrix" });
      this.detail = h("div", { class: "film-cell", role: "group", "aria-label": "The chosen cell", hidden: true });
      this.heard = h("select", { class: "film-select", "aria-label": "Listen to", onchange: () => this.addRow() });
      this.moves = h("select", { class: "film-select", "aria-label": "Let move", onchange: () => this.addColumn() });
      this.element = h("div", { class: "film-matrix-box" }, h("div", { class: "film-matrix-scroll" }, this.table), h("div", { class: "studio-row" }, this.heard, this.moves), this.detail);
      on("film-desk", (desk) => { this.features = new Map(desk.features); this.fillMenus(); });
      on("film-facts", () => this.fillMenus());
      on("film", ({ source }) => { if (source === "open" || source === "start") Object.assign(this, { extraRows: [], extraColumns: [], chosen: null }); this.draw(); this.listen(); });
      on("film-time", ({ time }) => this.meter(time));
    }

    entries() {
      return film.value?.film.matrix || [];
    }

    words(sound, feature) {
      const own = film.facts.sounds[sound]?.features?.find(([name]) => name === feature);
      const words = own?.[1] || this.features?.get(feature) || feature;
      return sound ? `${words} (${sound + 1})` : words;
    }

    rows() {
      return [...new Set([...this.entries().map(rowKey), ...this.extraRows])];
    }

    columns() {
      return [...new Set([...this.entries().map((entry) => entry.target), ...this.extraColumns])];
    }

    draw() {
      const focus = document.activeElement?.dataset?.cell;
      const [rows, columns] = [this.rows(), this.columns()];
      this.meters = [];
      this.table.hidden = !rows.length || !columns.length;
      const head = h("tr", {}, h("td"), columns.map((path) => h("th", { scope: "col", title: film.target(path)?.help || path }, h("span", { text: film.target(path)?.label || path }))));
      this.table.replaceChildren(h("thead", {}, head), h("tbody", {}, rows.map((key) => this.makeRow(key, columns))));
      if (focus) this.table.querySelector(`[data-cell="${CSS.escape(focus)}"]`)?.focus();
      this.showDetail();
    }

    makeRow(key, columns) {
      const [sound, feature] = [Number(key.split(":")[0]), key.slice(key.indexOf(":") + 1)];
      const meter = h("i", { class: "film-meter", "aria-hidden": "true" });
      const first = this.entries().findIndex((entry) => rowKey(entry) === key);
      this.meters.push([meter, first]);
      const remove = h("button", { type: "button", class: "film-x", "aria-label": `Do not listen to ${this.words(sound, feature)}`, onclick: () => this.removeRow(key) }, controls.icon("close"));
      return h("tr", {}, h("th", { scope: "row" }, meter, h("span", { text: this.words(sound, feature), title: feature }), remove), columns.map((path) => this.makeCell(sound, feature, path)));
    }

    find(sound, feature, path) {
      return this.entries().findIndex((entry) => entry.sound === sound && entry.feature === feature && entry.target === path);
    }

    makeCell(sound, feature, path) {
      const at = this.find(sound, feature, path);
      const label = `${this.words(sound, feature)} moves ${film.target(path)?.label || path}`;
      const box = controls.number({
        label, value: at < 0 ? 0 : this.entries()[at].amount, low: -2, high: 2, step: 0.05, fine: 0.01,
        onInput: (amount) => this.set(sound, feature, path, amount), onCommit: () => film.commit(),
      });
      const cell = `${sound}:${feature}>${path}`;
      box.input.dataset.cell = cell;
      box.input.dataset.on = at >= 0 ? "1" : "";
      box.input.addEventListener("focus", () => { this.chosen = { sound, feature, path }; this.showDetail(); });
      return h("td", {}, box.input);
    }

    set(sound, feature, path, amount) {
      film.edit((value) => {
        const found = value.matrix.find((entry) => entry.sound === sound && entry.feature === feature && entry.target === path);
        if (found) found.amount = amount;
        else value.matrix.push(this.fresh(sound, feature, path, amount));
      }, false, "matrix");
    }

    fresh(sound, feature, path, amount) {
      const mode = path === "latent" ? "trigger" : /zoom|scale$/.test(path) ? "multiply" : "add";
      return { feature, sound, target: path, amount, mode, latent: null, glide: 0.25, envelope: { attack: 0, release: 0.15, smooth: 0, clip: 97, power: 1, gate: 0, delay: 0, invert: false } };
    }

    removeRow(key) {
      this.extraRows = this.extraRows.filter((each) => each !== key);
      film.edit((value) => { value.matrix = value.matrix.filter((entry) => rowKey(entry) !== key); });
      this.draw();
    }

    addRow() {
      if (this.heard.value) this.extraRows.push(this.heard.value);
      this.heard.value = "";
      if (!this.columns().length) this.extraColumns.push("view.zoom");
      this.draw();
      this.table.querySelector("tbody tr:last-child input")?.focus();
    }

    addColumn() {
      if (this.moves.value) this.extraColumns.push(this.moves.value);
      this.moves.value = "";
      if (!this.rows().length) this.extraRows.push("0:onset");
      this.draw();
      this.table.querySelector("tbody td:last-child input")?.focus();
    }

    fillMenus() {
      const sounds = film.facts.sounds.length ? film.facts.sounds : [{ features: null }];
      const rows = sounds.flatMap((facts, sound) => (facts.features || [...(this.features || [])]).map(([feature]) => h("option", { value: `${sound}:${feature}`, text: this.words(sound, feature) })));
      this.heard.replaceChildren(h("option", { value: "", text: "Listen to …" }), ...rows);
      this.moves.replaceChildren(h("option", { value: "", text: "Let move …" }), ...film.facts.targets.map((target) => h("option", { value: target.path, text: target.label, title: target.help })));
    }

    // ---- one cell in detail -----------------------------------------------------------------------------------------------
    showDetail() {
      const { chosen } = this;
      const at = chosen ? this.find(chosen.sound, chosen.feature, chosen.path) : -1;
      this.detail.hidden = at < 0;
      if (at < 0) return;
      const key = `${chosen.sound}:${chosen.feature}>${chosen.path}`;
      const entry = this.entries()[at];
      if (this.detail.dataset.key === key) return this.parts.forEach(([name, part]) => part(name === "mode" ? entry.mode : name === "glide" ? entry.glide : entry.envelope[name]));
      this.detail.dataset.key = key;
      this.parts = [];
      const change = (name, value, done) => film.edit((next) => {
        const found = next.matrix.find((each) => each.sound === chosen.sound && each.feature === chosen.feature && each.target === chosen.path);
        if (!found) return;
        if (name === "mode" || name === "glide") found[name] = value;
        else found.envelope[name] = value;
      }, done, "matrix");
      const number = (name, label, help, low, high, step = 0.05) => {
        const box = controls.number({ label: `${label}, ${this.words(chosen.sound, chosen.feature)}`, value: entry.envelope[name] ?? entry[name], low, high, step, onInput: (value) => change(name, value, false), onCommit: () => film.commit() });
        this.parts.push([name, (value) => { if (document.activeElement !== box.input) box.show(value); }]);
        return controls.field(label, box, help);
      };
      const modes = chosen.path === "latent" ? ["trigger", "toward"] : film.lane(chosen.path) ? ["add", "multiply", "trigger"] : ["add", "multiply"];
      const mode = h("select", { class: "film-select", "aria-label": "How it acts", onchange: () => change("mode", mode.value, true) }, [...new Set([...modes, entry.mode])].map((name) => h("option", { value: name, text: name })));
      mode.value = entry.mode;
      this.parts.push(["mode", (value) => { mode.value = value; }]);
      const remove = controls.button({ label: "Empty this cell", kind: "quiet", onClick: () => {
        this.chosen = null;
        film.edit((value) => { value.matrix = value.matrix.filter((each) => !(each.sound === chosen.sound && each.feature === chosen.feature && each.target === chosen.path)); });
      } });
      this.detail.replaceChildren(
        h("p", { class: "studio-quiet", text: `${this.words(chosen.sound, chosen.feature)} → ${film.target(chosen.path)?.label || chosen.path}` }),
        h("div", { class: "film-cell-fields" }, h("label", { class: "studio-field" }, h("span", { text: "Acts" }), mode),
          number("attack", "Attack, s", "Seconds to follow upwards", 0, 5), number("release", "Release, s", "Seconds to follow downwards", 0, 10),
          number("smooth", "Smooth, s", "Smoothing in seconds", 0, 10), number("power", "Power", "Over 1 keeps loud moments only", 0.25, 6, 0.25),
          number("gate", "Gate", "What is quieter than this share is silence", 0, 1), number("delay", "Delay, s", "Later, or earlier", -2, 2, 0.01),
          number("glide", "Glide, s", "Seconds to the next place, when it triggers", 0, 10)), remove);
      return undefined;
    }

    // ---- what is heard now ---------------------------------------------------------------------------------------------
    listen() {
      const now = JSON.stringify([this.entries().map((entry) => [entry.sound, entry.feature, entry.envelope]), film.value?.film.sounds, film.value?.film.seconds, film.value?.film.fps]);
      if (now === this.listened) return;
      this.listened = now;
      if (!this.entries().length || !film.value.film.sounds.length) this.take([]);
      else this.fetch(film.value);
    }

    fetch = latestWins(async (recipe) => {
      const answer = await guarded(() => call(this.server, "curves", { recipe }));
      if (answer) this.take(answer.levels.map(filmCurves.bytes));
    });

    take(levels) {
      this.levels = levels;
      const entries = this.entries();
      const isFirst = (i) => entries.findIndex((entry) => rowKey(entry) === rowKey(entries[i])) === i;
      emit("film-levels", levels.filter((_, i) => entries[i] && isFirst(i) && !/^(chroma|note|cc)\./.test(entries[i].feature)).slice(0, MOST_CURVES));
      this.meter(player.time);
    }

    /** The levels at a moment; live ones of a microphone may take their place. */
    meter(time) {
      const share = time / (film.facts.seconds || 1);
      for (const [meter, at] of this.meters) {
        const level = this.levels[at];
        const value = this.live?.[at] ?? (level?.length ? level[Math.min(level.length - 1, Math.floor(share * level.length))] / 255 : 0);
        meter.style.setProperty("--level", value.toFixed(3));
      }
    }
  }

  // ---- presets -------------------------------------------------------------------------------------------------------------
  /** The row of presets: a menu, and saving one's own. */
  function presetRow(server) {
    const menu = h("select", { class: "film-select", "aria-label": "Preset", onchange: async () => {
      if (!menu.value) return;
      const name = menu.value;
      const answer = await film.ask("use_preset", { recipe: film.value, name });
      used = answer ? { name, matrix: JSON.stringify(film.value.film.matrix) } : {};
      show();
    } });
    let used = {};
    const show = () => { menu.value = used.name && used.matrix === JSON.stringify(film.value?.film.matrix) ? used.name : ""; };
    on("film", show);
    const name = h("input", { type: "text", class: "studio-text", maxlength: "60", placeholder: "Name of your preset", "aria-label": "Name of your preset" });
    const save = controls.button({ label: "Save", icon: "save", help: "Keeps this matrix as a preset of your own, and gives it as a file to share; dropping such a file loads it", onClick: async () => {
      const answer = await guarded(() => call(server, "save_preset", { recipe: film.value, name: name.value.trim() || "My preset" }));
      if (!answer) return;
      fill(answer.presets);
      const url = URL.createObjectURL(new Blob([answer.json], { type: "application/json" }));
      h("a", { href: url, download: answer.name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60000);
      status(answer.say);
    } });
    const fill = (presets) => menu.replaceChildren(h("option", { value: "", text: "Choose a preset …" }), ...presets.map((preset) => h("option", { value: preset.name, text: preset.own ? `${preset.label} (own)` : preset.label, title: preset.help })));
    on("film-desk", (desk) => fill(desk.presets));
    return [menu, h("div", { class: "studio-row sources" }, name, save)];
  }

  Object.assign(window.studio, { FilmMatrix, filmPresetRow: presetRow });
})();
