/* The sound matrix while it is played: one line for everything that moves, with its level, its amount and what to learn it on.
 * The twelve notes that act alike are one line. It edits a preset and knows neither ears nor pictures. */
(() => {
  "use strict";
  const { h, controls, clone } = window.studio;
  const ENVELOPE = { attack: 0, release: 0.15, smooth: 0, clip: 97, power: 1, gate: 0, delay: 0, invert: false };

  class LiveMatrix {
    /** onChange(preset) after every edit; learn(id, target) gives a button, forget(id) takes it back. */
    constructor({ onChange, learn, forget }) {
      Object.assign(this, { onChange, learn, forget, preset: { name: "own", label: "", path: "", speed: 0.25, bound: 2, places: [], matrix: [] }, features: new Map(), moves: new Map(), lines: [], chosen: "" });
      this.list = h("ul", { class: "live-lines", "aria-label": "What moves with what is heard" });
      this.none = h("p", { class: "studio-quiet", text: "Nothing moves with the sound yet. Choose a preset, or add a line." });
      this.detail = h("div", { class: "film-cell", role: "group", "aria-label": "The chosen line", hidden: true });
      this.heard = h("select", { class: "studio-text", "aria-label": "Listen to" });
      this.moved = h("select", { class: "studio-text", "aria-label": "Let move" });
      this.addButton = controls.button({ label: "Add", icon: "plus", iconOnly: true, help: "Adds a line: what is heard moves what is chosen", onClick: () => this.add() });
      this.element = h("div", { class: "live-matrix" }, this.none, this.list, this.detail, h("div", { class: "studio-row live-add" }, this.heard, this.moved, this.addButton));
    }

    /** What can be heard, and what the model at hand can move. */
    offer(features, moves) {
      this.features = new Map(features);
      this.moves = new Map(moves.map((move) => [move.path, move]));
      this.heard.replaceChildren(...features.map(([name, words]) => h("option", { value: name, text: words })));
      this.moved.replaceChildren(...moves.filter((move) => move.path !== "latent").map((move) => h("option", { value: move.path, text: move.label, title: move.help })));
      if (this.moves.has("view.zoom")) this.moved.value = "view.zoom";
      if (this.features.has("onset_low")) this.heard.value = "onset_low";
      this.draw();
    }

    use(preset) {
      this.preset = preset;
      this.chosen = "";
      this.draw();
      this.onChange(preset);
    }

    /** The pairs that have to be listened to: [[feature, clip]]. */
    ears() {
      const pairs = new Map(this.preset.matrix.map((entry) => [`${entry.feature} ${entry.envelope.clip}`, [entry.feature, entry.envelope.clip]]));
      return [...pairs.values()];
    }

    static familyOf(entry) {
      if (!entry.feature.startsWith("chroma.")) return "";
      if (entry.target.startsWith("latent.classes.")) return `notes>classes ${entry.amount}`;
      return entry.mode === "toward" ? `notes>${entry.target} toward ${entry.amount}` : "";
    }

    /** Entries that belong together, in the order of the matrix; what the model cannot follow is left out. */
    groups() {
      const found = new Map();
      this.preset.matrix.forEach((entry, at) => {
        if (/^latent\.classes\./.test(entry.target) && !this.moves.has(entry.target)) return;
        const key = LiveMatrix.familyOf(entry) || `${entry.feature}>${entry.target} ${entry.mode} ${at}`;
        found.set(key, [...(found.get(key) || []), at]);
      });
      return [...found.values()];
    }

    words(places) {
      const [first] = places.map((at) => this.preset.matrix[at]);
      const move = this.moves.get(first.target);
      const many = places.length > 1;
      const heard = many ? "Notes" : this.features.get(first.feature) || first.feature;
      const moved = many && first.mode !== "toward" ? "Kinds" : first.mode === "toward" ? (many ? "Pull to places" : `Pull to place ${first.latent?.x ?? 0}`) : first.mode === "trigger" ? "Next place" : move?.label || first.target;
      return [heard, moved, move?.help || ""];
    }

    draw() {
      this.lines.forEach(({ id }) => this.forget(id));
      const seen = new Map();
      this.lines = this.groups().map((places) => {
        const [heard, moved, help] = this.words(places);
        const name = `${heard} moves ${moved}`;
        seen.set(name, (seen.get(name) || 0) + 1);
        const id = `cell ${name}${seen.get(name) > 1 ? ` ${seen.get(name)}` : ""}`;
        const entry = this.preset.matrix[places[0]];
        const set = (amount) => { box.show(amount); this.set(places, { amount }); };
        const box = controls.number({ label: name, value: entry.amount, low: -2, high: 2, step: 0.05, fine: 0.01, onInput: (amount) => this.set(places, { amount }) });
        box.input.addEventListener("focus", () => this.choose(id));
        const meter = h("i", { class: "film-meter", "aria-hidden": "true" });
        const remove = h("button", { type: "button", class: "film-x", "aria-label": `Remove: ${name}`, onclick: () => this.remove(places) }, controls.icon("close"));
        const words = h("span", { class: "live-words", title: help }, h("b", { text: heard }), h("small", { text: moved }));
        const line = h("li", { class: "live-line" }, meter, words, this.learn(id, { label: name, low: -2, high: 2, set }), box.input, remove);
        return { id, places, meter, line };
      });
      this.list.replaceChildren(...this.lines.map(({ line }) => line));
      this.none.hidden = this.lines.length > 0;
      this.showDetail();
    }

    set(places, values) {
      const next = clone(this.preset);
      for (const at of places) {
        const entry = next.matrix[at];
        for (const [name, value] of Object.entries(values)) {
          if (name in ENVELOPE) entry.envelope[name] = value;
          else entry[name] = value;
        }
      }
      this.preset = next;
      this.onChange(next);
    }

    add() {
      const target = this.moved.value;
      if (!target || !this.heard.value) return;
      const mode = /zoom|scale$/.test(target) ? "multiply" : "add";
      const next = clone(this.preset);
      next.matrix.push({ feature: this.heard.value, sound: 0, target, amount: mode === "multiply" ? 0.2 : 0.5, mode, latent: null, glide: 0.25, envelope: { ...ENVELOPE } });
      this.preset = next;
      this.draw();
      this.list.querySelector("li:last-child input")?.focus();
      this.onChange(next);
    }

    remove(places) {
      const next = clone(this.preset);
      next.matrix = next.matrix.filter((_, at) => !places.includes(at));
      this.chosen = "";
      this.preset = next;
      this.draw();
      this.onChange(next);
    }

    // ---- one line in detail ----------------------------------------------------------------------------------------------
    choose(id) {
      if (this.chosen === id) return;
      this.chosen = id;
      this.showDetail();
    }

    showDetail() {
      const line = this.lines.find(({ id }) => id === this.chosen);
      this.detail.hidden = !line;
      this.lines.forEach(({ id, line: element }) => { element.dataset.chosen = id === this.chosen ? "1" : ""; });
      if (!line) return;
      const { places } = line;
      const entry = this.preset.matrix[places[0]];
      const [heard, moved] = this.words(places);
      const number = (name, label, help, low, high, step = 0.05) => controls.field(label, controls.number({ label: `${label}, ${heard} moves ${moved}`, value: entry.envelope[name], low, high, step, onInput: (value) => this.set(places, { [name]: value }) }), help);
      this.detail.replaceChildren(
        h("p", { class: "studio-quiet", text: `${heard} → ${moved}` }),
        h("div", { class: "film-cell-fields" },
          number("attack", "Attack, s", "Seconds to follow upwards", 0, 5), number("release", "Release, s", "Seconds to follow downwards", 0, 10),
          number("smooth", "Smooth, s", "Smoothing in seconds; it comes later by half as much again", 0, 10), number("power", "Power", "Over 1 keeps loud moments only", 0.25, 6, 0.25),
          number("gate", "Gate", "What is quieter than this share is silence", 0, 1), number("clip", "Full at, %", "The percentile of the last seconds that counts as full", 50, 100, 1)));
    }

    /** Show the levels of all entries, 0 to 1, in the order of the matrix. */
    meter(levels) {
      for (const { places, meter } of this.lines) meter.style.setProperty("--level", Math.max(0, ...places.map((at) => levels[at] || 0)).toFixed(3));
    }
  }

  Object.assign(window.studio, { LiveMatrix });
})();
