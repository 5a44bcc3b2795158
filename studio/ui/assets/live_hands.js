/* What hands set while the picture hears: sliders that knobs can be taught to move, and the values they have now. It neither draws nor
 * changes Explore's recipe. */
(() => {
  "use strict";
  const { h, controls, model, recipe, session } = window.studio;
  const MOST = { blends: 4, mixing: 4, kinds: 32 };
  const REACH = 4;

  class LiveHands {
    /** midi: teaches knobs; state: {amount, speed} as they were kept, keep(values) keeps others. */
    constructor({ midi, state, keep }) {
      Object.assign(this, { midi, state, keep, values: new Map(), sliders: new Map() });
      this.group = controls.group("Play");
      this.amount = h("div", {});
    }

    /** All that hands have set: [[path or name, value]]. */
    list() {
      return [...this.values, ["amount", this.state.amount], ["speed", this.state.speed]];
    }

    /** Take over what a message sets, as if a hand had. */
    take(path, value) {
      if (path === "amount" || path === "speed") this.keep({ [path]: value });
      else this.values.set(path, value);
      this.sliders.get(path)?.set(value);
    }

    /** A slider with its learn button; id is the path of a value, or the name of one of playing. */
    slider(id, { label, help, low, high, value, reset, center, step = 0.01, onInput }) {
      const set = (next) => { control.set(next); onInput(next); };
      const control = controls.slider({ label, help, low, high, step, value, reset, center, onInput });
      this.sliders.set(id, control);
      return h("div", { class: "live-hand" }, control.element, this.midi.target(id, { label, low, high, set }));
    }

    /** The slider of a value of the recipe. */
    value(path, label, more = {}) {
      const bounds = session.bounds[path];
      return this.slider(path, { label, help: bounds?.help, low: bounds?.low, high: bounds?.high, value: recipe.get(path), reset: recipe.get(path), onInput: (next) => this.values.set(path, next), ...more });
    }

    /** Make the sliders anew for Explore's recipe and model; what hands had set is forgotten. */
    fill() {
      for (const id of this.sliders.keys()) this.midi.forget(id);
      this.sliders = new Map();
      this.values = new Map();
      const around = (path) => ({ low: Math.floor(recipe.get(path)) - REACH, high: Math.floor(recipe.get(path)) + REACH, center: recipe.get(path) });
      const parts = [
        this.value("truncation.psi", "Psi", { center: 0 }),
        this.value("latent.x", "Seed", { ...around("latent.x"), help: "Travels along the seed plane, four seeds to either side" }),
        this.value("latent.y", "Row", { ...around("latent.y"), help: "Travels across the seed plane, four rows to either side" }),
        model.facts?.has_noise ? this.value("noise.strength", "Noise", { low: 0, high: 2, center: 1 }) : null,
        this.value("view.zoom", "Zoom", { low: 0.5, high: 3, center: 1 }),
        this.slider("speed", { label: "Wander speed", help: "How fast the place wanders where the preset lets it; 1 is as the preset says, 0 stays", low: 0, high: 4, value: this.state.speed, reset: 1, center: 1, onInput: (speed) => this.keep({ speed }) }),
        ...recipe.value.blends.slice(0, MOST.blends).map((_, i) => this.value(`blends.${i}.weight`, `Blend ${i + 1}`, { low: 0, high: 1 })),
        ...recipe.value.mixing.slice(0, MOST.mixing).map((mix, i) => this.mix(mix, i)),
        this.kinds(),
      ];
      this.group.replaceChildren(this.group.firstElementChild, ...parts.filter(Boolean));
      this.amount.replaceChildren(this.slider("amount", { label: "Amount", help: "How much the sound moves everything; 1 is as the lines say", low: 0, high: 2, value: this.state.amount, reset: 1, center: 1, onInput: (amount) => this.keep({ amount }) }));
    }

    mix({ weights }, i) {
      return this.slider(`mixing.${i}`, {
        label: `Mix ${i + 1}`, help: "How much of the other style is mixed in, in all layers", low: 0, high: 1, value: weights[0] ?? 0, reset: weights[0] ?? 0,
        onInput: (next) => weights.forEach((_, layer) => this.values.set(`mixing.${i}.weights.${layer}`, next)),
      });
    }

    /** Faders for the classes of the model; null when it has none. */
    kinds() {
      const weights = Object.fromEntries(recipe.value.latent.classes);
      const faders = (model.facts?.classes || []).slice(0, MOST.kinds).map((title, i) => this.value(`latent.classes.${i}`, title, { low: 0, high: 1, value: weights[i] || 0, reset: weights[i] || 0, help: `How much of ${title}` }));
      return faders.length ? h("details", { class: "studio-details" }, h("summary", { text: "Kinds" }), faders) : null;
    }
  }

  Object.assign(window.studio, { LiveHands });
})();
