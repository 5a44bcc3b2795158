/* What can be wished of a restyled photo: strength, strokes, colours, where, and with which other styles. The board of Restyle shows
 * these controls; how a photo is made (restyle_developer.js) and undone (restyle_desk.js) is not their business. */
(() => {
  "use strict";
  const { h, controls } = window.studio;
  const OWN = ["source_name", "source_sha256"];
  /** What only the last blend depends on, so that the network need not run again. */
  const BLENDED = ["strength", "strength_space", "keep_colors", "keep_luminance", "mask", "mask_feather"];

  const without = (restyle, names) => Object.fromEntries(Object.entries(restyle || {}).filter(([name]) => !names.includes(name)).sort());
  const keyOf = ({ model, restyle, enlarge = [] }) => JSON.stringify([model.name, without(restyle, OWN), enlarge]);
  const styleOf = ({ model, restyle, enlarge = [] }) => JSON.stringify([model.name, without(restyle, [...OWN, ...BLENDED]), enlarge]);
  /** The wishes of one photo for another one: the mask is the first one's own. */
  const shared = (restyle) => without(restyle, [...OWN, "mask"]);

  /** Every entry of a restyling at its default. */
  const plain = (bounds) => Object.fromEntries(Object.entries(bounds).filter(([name]) => name.startsWith("restyle.")).map(([name, entry]) => [name.slice(8), entry.default]));

  /** A list of styles to choose one more from. Returns {element, set}. */
  function picker({ label, help, none, onChange }) {
    const list = h("select", { onchange: () => onChange(list.value) });
    const element = h("label", { class: "studio-control studio-pick" }, h("span", { text: label }), list);
    controls.help(element, help);
    const set = (styles, words, value) => {
      const entries = [["", none], ...styles.map((style) => [style.name, words(style)])];
      if (value && !styles.some((style) => style.name === value)) entries.push([value, value]);
      const state = JSON.stringify(entries);
      if (list.dataset.state !== state) list.replaceChildren(...entries.map(([name, text]) => h("option", { value: name, text })));
      list.dataset.state = state;
      list.value = value;
    };
    return { element, set };
  }

  /** Build the controls. wish(values, {isDone}) changes the photo at hand, commit() ends a movement, styles() lists the styles. */
  function wishes({ bounds, wish, commit, viewer, styles, words, enlargers }) {
    const about = (name) => bounds[`restyle.${name}`];
    const slide = (name, label, more = {}) => controls.slider({ label, help: about(name).help, low: about(name).low, high: about(name).high, step: 0.01, fine: 0.001, reset: about(name).default, value: about(name).default, onInput: (value) => wish({ [name]: value }, { isDone: false }), onCommit: commit, ...more });
    const ref = (name) => { const style = styles().find((entry) => entry.name === name); return { name: style.name, sha256: style.sha256 }; };

    const strength = slide("strength", "Strength");
    const space = controls.choice({ label: "Strength acts on", help: about("strength_space").help, value: "lab", options: [["lab", "Colours"], ["features", "Strokes"]], onChange: (value) => wish({ strength_space: value }) });
    const strokes = slide("texture_scale", "Stroke size", { low: 0.25, high: 4 });
    const detail = slide("detail", "Fine detail");
    const crisp = controls.toggle({ label: "Crisp strokes", help: "large strokes are enlarged by a network, with sharp edges; without it softly, under the photo's fine detail", onChange: (isOn) => wish({ enlarge: isOn ? enlargers() : [] }) });
    const blend = new window.studio.StyleBlend({ wish, commit });
    const colours = controls.toggle({ label: "Keep colours", help: `${about("keep_colors").help}; only light and shade come from the style`, onChange: (isOn) => wish(isOn ? { keep_colors: true, keep_luminance: false } : { keep_colors: false }) });
    const light = controls.toggle({ label: "Keep light", help: `${about("keep_luminance").help}; only colours come from the style`, onChange: (isOn) => wish(isOn ? { keep_luminance: true, keep_colors: false } : { keep_luminance: false }) });
    const norm = controls.choice({ label: "Batch norm", help: about("norm_mode").help, value: "published", options: [["published", "As published"], ["eval", "From training"]], onChange: (value) => wish({ norm_mode: value }) });

    let share = 0.5;
    const mixed = picker({ label: "Mix with", help: "one more style, blended with the first", none: "no other style", onChange: (name) => wish({ mix: name ? [{ model: ref(name), share }] : [] }) });
    let mixing = null;
    const part = controls.slider({ label: "Share of it", help: "0 is the first style alone, 1 the other", low: 0, high: 1, step: 0.01, value: share, reset: share, onInput: (value) => { share = value; if (mixing) wish({ mix: [{ model: mixing, share: value }] }, { isDone: false }); }, onCommit: commit });
    const then = picker({ label: "Then", help: "a style that is applied to the result", none: "nothing more", onChange: (name) => wish({ then: name ? [ref(name)] : [] }) });

    const brush = new window.studio.Brush(viewer, (mask) => wish({ mask }));
    const where = window.studio.brushControls(brush, { help: "paint where the style goes; without a mask it is everywhere", feather: about("mask_feather"), onFeather: (value) => wish({ mask_feather: value }, { isDone: false }), onCommit: commit });

    function set(recipe, photo, { hasBatchNorm }) {
      const { restyle } = recipe;
      strength.set(restyle.strength);
      space.set(restyle.strength_space);
      strokes.set(restyle.texture_scale);
      detail.set(restyle.detail);
      const isCrisp = !!recipe.enlarge?.length;
      crisp.set(isCrisp);
      crisp.element.hidden = restyle.texture_scale <= 1 || !(isCrisp || enlargers().length);
      detail.element.hidden = restyle.texture_scale <= 1 || isCrisp;
      blend.set(recipe, styles().find((style) => style.name === recipe.model.name)?.styles || []);
      colours.set(restyle.keep_colors);
      light.set(restyle.keep_luminance);
      norm.set(restyle.norm_mode);
      norm.element.hidden = !hasBatchNorm;
      const others = styles().filter((style) => style.name !== recipe.model.name);
      mixing = restyle.mix[0]?.model || null;
      mixed.set(others, words, mixing?.name || "");
      part.element.hidden = !mixing;
      if (mixing) part.set(share = restyle.mix[0].share);
      then.set(styles(), words, restyle.then[0]?.name || "");
      where.set(restyle);
      if (photo) brush.show(restyle.mask, photo.width, photo.height);
    }

    return {
      amount: [strength.element, space.element, colours.element, light.element, norm.element],
      more: [strokes.element, crisp.element, detail.element, mixed.element, part.element, then.element],
      where: where.elements,
      blend,
      place: () => brush.place(),
      set,
    };
  }

  Object.assign(window.studio, { restyleWishes: { keyOf, styleOf, shared, plain, build: wishes } });
})();
