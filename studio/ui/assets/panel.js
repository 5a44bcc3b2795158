/* The controls for everything in a recipe but its place, as far as the model at hand can use them. Ranges, defaults and help
 * come from the recipe itself; a change draws at once, letting go makes an undo step. */
(() => {
  "use strict";
  const { h, controls, session, recipe, clone, drops, status } = window.studio;
  const MOST_BLENDS = 16;
  const commit = () => recipe.commit();
  const bounds = (path) => session.bounds[path] || {};

  /** A slider for one value of the recipe. */
  function valueSlider(followers, path, { label, low, high, step = 0.01, center, marks, toControl = (x) => x, toRecipe = (x) => x }) {
    const limits = bounds(path);
    const control = controls.slider({
      label, help: limits.help, low: low ?? limits.low, high: high ?? limits.high, step, center, marks, reset: toControl(limits.default),
      onInput: (value) => recipe.change({ [path]: toRecipe(value) }, path), onCommit: commit,
    });
    followers.push(() => control.set(toControl(recipe.get(path))));
    return control;
  }

  function character(followers, facts) {
    const psi = valueSlider(followers, "truncation.psi", { label: "Psi", center: 0, marks: [1] });
    const cutoff = valueSlider(followers, "truncation.cutoff", {
      label: "Cutoff", low: 0, high: facts.num_ws, step: 1, toControl: (value) => value ?? facts.num_ws, toRecipe: (value) => (value >= facts.num_ws ? null : Math.round(value)),
    });
    return controls.group("Character", psi.element, facts.c_dim > 0 ? pull(followers, facts) : null, cutoff.element);
  }

  /** What psi pulls towards: for a model with classes their own average, the average of all, or a place of one's own. */
  function pull(followers, facts) {
    const averages = facts.c_dim > 0 ? [["class", "Its kind"], ["average", "All kinds"]] : [["average", "Average"]];
    const means = facts.c_dim > 0 ? "the average of the picture's own kinds (of all if it has none), the average of all" : "the model's average";
    const center = controls.choice({
      label: "Psi pulls towards", help: `The style that psi 0 shows: ${means}, or a place of your own`, value: averages[0][0], options: [...averages, ["place", "This place"]],
      onChange: (value) => {
        const isPlace = value === "place";
        recipe.change({ "truncation.center": isPlace ? clone(recipe.value.latent) : null, ...(isPlace ? {} : { "truncation.towards": value }) });
        commit();
      },
    });
    followers.push(({ truncation }) => center.set(truncation.center ? "place" : facts.c_dim > 0 ? truncation.towards : "average"));
    return center.element;
  }

  function noise(followers) {
    const mode = controls.choice({
      label: "Kind of noise", isLabelHidden: true, help: bounds("noise.mode").help, value: recipe.get("noise.mode"), options: [["const", "Fixed"], ["random", "New"], ["none", "None"]],
      onChange: (value) => { recipe.change({ "noise.mode": value }); commit(); },
    });
    const strength = valueSlider(followers, "noise.strength", { label: "Strength", low: 0, high: 2, center: 1 });
    const seed = controls.number({ label: "Noise seed", value: 0, low: 0, high: 2 ** 32 - 1, onInput: (value) => recipe.change({ "noise.seed": Math.round(value) }), onCommit: commit });
    const seedField = controls.field("Noise seed", seed, bounds("noise.seed").help);
    followers.push(({ noise }) => {
      mode.set(noise.mode);
      seed.show(noise.seed);
      seed.input.disabled = noise.mode !== "random";
      seedField.classList.toggle("off", noise.mode !== "random");
      strength.enable(noise.mode !== "none");
    });
    return controls.group("Noise", mode.element, strength.element, seedField);
  }

  /** How much noise in each layer, on top of the strength. */
  function noiseLayers(followers, facts) {
    const values = () => facts.layers.map((_, i) => recipe.get("noise.layers")[i] ?? 1);
    const faders = facts.layers.map((layer, i) => controls.fader({
      label: `Noise in layer ${i + 1}, ${layer.resolution} pixels`, short: String(i + 1), group: layer.group, low: 0, high: 2, value: 1, reset: 1, help: bounds("noise.layers").help,
      onInput: (value) => {
        const next = values();
        next[i] = value;
        recipe.change({ "noise.layers": next.every((other) => other === 1) ? [] : next }, "noise.layers");
      }, onCommit: commit,
    }));
    followers.push(() => values().forEach((value, i) => faders[i].set(value)));
    return h("div", { role: "group", "aria-label": "Noise in each layer" }, h("span", { class: "studio-label", text: "Noise in each layer" }), h("div", { class: "studio-faders" }, faders.map((fader) => fader.element)));
  }

  function frame(followers) {
    const move = (path, label, options) => valueSlider(followers, `transform.${path}`, { label, ...options }).element;
    return controls.group("Frame", move("translate_x", "Move right", { center: 0 }), move("translate_y", "Move down", { center: 0 }),
      move("rotate", "Turn", { center: 0, step: 1 }), move("scale", "Zoom", { center: 1 }));
  }

  /** Class weights as a set of bars that sum to one; all empty is the model's average. */
  function kinds(followers, facts) {
    const weights = new Array(facts.classes.length).fill(0);
    const send = () => recipe.change({ "latent.classes": weights.flatMap((weight, i) => (weight > 0.0005 ? [[i, Number(weight.toFixed(4))]] : [])) }, "classes");
    const share = (at, value) => {
      const others = weights.reduce((sum, weight, i) => (i === at ? sum : sum + weight), 0);
      weights.forEach((weight, i) => {
        if (i === at) weights[i] = others > 0 ? value : 1;
        else weights[i] = others > 0 ? (weight / others) * (1 - value) : 0;
      });
      bars.forEach((entry, i) => entry.set(weights[i]));
      send();
    };
    const bars = facts.classes.map((name, i) => controls.bar({ label: name, onInput: (value) => share(i, value), onCommit: commit }));
    followers.push(({ latent }) => {
      weights.fill(0);
      const sum = latent.classes.reduce((total, [, weight]) => total + weight, 0) || 1;
      latent.classes.forEach(([i, weight]) => { if (i < weights.length) weights[i] = weight / sum; });
      bars.forEach((entry, i) => entry.set(weights[i]));
    });
    const clear = controls.button({ label: "Average", kind: "quiet small", help: "Leaves all kinds at the model's average", onClick: () => { recipe.change({ "latent.classes": [] }); commit(); } });
    const filter = h("input", { type: "search", class: "studio-text", placeholder: "Find a kind", "aria-label": "Find a kind", hidden: bars.length <= 24, oninput: () => {
      const word = filter.value.trim().toLowerCase();
      bars.forEach((entry, i) => { entry.element.hidden = word !== "" && !facts.classes[i].toLowerCase().includes(word); });
    } });
    const section = controls.group("Kinds", filter, h("div", { class: "studio-bars" }, bars.map((entry) => entry.element)));
    section.firstElementChild.append(clear);
    return section;
  }

  const nameOf = (latent) => (latent.ws ? "a picture" : `seed ${Number((latent.x + 100 * latent.y).toFixed(2))}`);

  /** A button that takes one source out of a list of the recipe. */
  const takeOut = (path, entry, i) => h("button", { type: "button", "aria-label": `Take out ${nameOf(entry.latent)}`, onclick: () => {
    recipe.change({ [path]: recipe.get(path).filter((_, place) => place !== i) });
    commit();
  } }, controls.icon("close"));

  /** Whose styles were mixed in; each can be taken out again. */
  function mixed(followers) {
    const chips = h("div", { class: "studio-sources", role: "list" });
    const section = controls.group("Mixed in", chips);
    followers.push(({ mixing }) => {
      section.hidden = !mixing.length;
      chips.replaceChildren(...mixing.map((entry, i) => h("div", { class: "studio-chip", role: "listitem" }, h("span", { text: nameOf(entry.latent) }), takeOut("mixing", entry, i))));
    });
    return section;
  }

  /** Other places blended into this one, each with a weight; the place itself weighs 1. */
  function blended(followers) {
    const rows = h("div", { class: "studio-blends" });
    let shown = "";
    let bars = [];
    const weigh = (i, weight) => recipe.change({ blends: recipe.get("blends").map((entry, place) => (place === i ? { ...entry, weight } : entry)) }, "blends");
    const row = (entry, i) => {
      bars[i] = controls.bar({
        label: nameOf(entry.latent), help: "How much of this one goes in; the picture's own place weighs 1", high: 2, value: entry.weight,
        format: (weight) => weight.toFixed(2), onInput: (weight) => weigh(i, weight), onCommit: commit,
      });
      return h("div", {}, bars[i].element, takeOut("blends", entry, i));
    };
    const put = (latent) => {
      if (recipe.get("blends").length >= MOST_BLENDS) return status(`A picture blends at most ${MOST_BLENDS} others. Take one out first.`, "error");
      recipe.change({ blends: [...recipe.get("blends"), { latent: clone(latent), weight: 1 }] });
      return commit();
    };
    const take = (picture) => {
      if (picture.recipe.restyle || picture.recipe.model.name !== recipe.value.model.name) return status("Only pictures of the same model can be blended in.", "error");
      return put(picture.recipe.latent);
    };
    const seed = controls.number({ label: "Seed to blend in", value: 0, low: 0, high: 2 ** 32 - 1 });
    const add = controls.button({ label: "Add", icon: "plus", help: "Blends this seed into the picture", onClick: () => put({ ...clone(recipe.value.latent), x: seed.input.valueAsNumber || 0, y: 0, ws: "" }) });
    const section = h("details", { class: "studio-group studio-details" }, h("summary", { text: "Blend" }), rows, h("div", { class: "studio-row sources" }, seed.input, add));
    drops.take(section, take);
    followers.push(({ blends }) => {
      const now = JSON.stringify(blends.map((entry) => entry.latent));
      if (now !== shown) {
        if (blends.length > bars.length) section.open = true;
        bars = [];
        shown = now;
        rows.replaceChildren(...blends.map(row));
      }
      blends.forEach((entry, i) => bars[i].set(entry.weight));
    });
    return section;
  }

  function more(followers, facts) {
    const size = controls.number({ label: "Size", value: 0, low: 0, high: 16384, step: 64, fine: 1, onInput: (value) => recipe.change({ size: value < 4 ? null : Math.round(value) }), onCommit: commit });
    followers.push((value) => {
      if (document.activeElement !== size.input) size.show(value.size ?? 0);
    });
    const own = facts.resolution;
    const times = controls.choice({ label: "Saved size", help: "How large a saved picture is; larger ones are enlarged crisply where Crisp is on", value: "1", onChange: (value) => { recipe.change({ size: value === "1" ? null : own * Number(value) }); commit(); },
      options: ["1", "2", "4", "8"].filter((value) => own * Number(value) <= 16384).map((value) => [value, `${own * Number(value)}`]) });
    followers.push((value) => times.set(String((value.size || own) / own)));
    const sizeField = controls.field(`Or another size (0: the model's own ${own} pixels)`, size, bounds("size").help);
    return h("details", { class: "studio-group studio-details" }, h("summary", { text: "More" }), facts.c_dim > 0 ? null : pull(followers, facts), facts.has_noise ? noiseLayers(followers, facts) : null, times.element, sizeField);
  }

  /** Build the panel for a model: {elements, follow(recipe)}. */
  function recipePanel(facts) {
    const followers = [];
    const elements = [mixed(followers), character(followers, facts)];
    if (facts.c_dim > 0) elements.push(kinds(followers, facts));
    if (facts.has_noise) elements.push(noise(followers));
    if (facts.has_transform) elements.push(frame(followers));
    elements.push(blended(followers), more(followers, facts));
    return { elements, follow: (value) => followers.forEach((update) => update(value)) };
  }

  Object.assign(window.studio, { recipePanel });
})();
