/* The chosen keyframe in numbers: when, what, how it goes on. Lies in the timeline's bar; nothing pops up. */
(() => {
  "use strict";
  const { h, on, controls, film, recipe, status } = window.studio;
  let desk = null;
  let parts = null;
  on("film-desk", (next) => { desk = next; });

  const isFocused = (node) => document.activeElement === node;

  function build(timeline) {
    const { inspector } = timeline;
    const change = (mutate) => timeline.chosen && timeline.editKey(timeline.chosen.path, timeline.chosen.i, mutate, false);
    const done = () => film.commit();
    const time = controls.number({ label: "Time of the keyframe, seconds", value: 0, low: 0, high: 36000, step: 0.1, fine: 0.01, onInput: (value) => change((key) => { key.time = film.snap(value); }), onCommit: done });
    const value = controls.number({ label: "Value of the keyframe", value: 0, step: 0.01, fine: 0.001, onInput: (next) => change((key) => {
      const target = film.target(timeline.chosen.path);
      key.value = controls.clamp(next, target?.low, target?.high);
    }), onCommit: done });
    const choice = h("select", { class: "film-select", "aria-label": "Value of the keyframe", onchange: () => { change((key) => { key.value = Number(choice.value); }); done(); } });
    const easing = h("select", { class: "film-select", "aria-label": "How it goes on to the next keyframe", onchange: () => { change((key) => { key.easing = easing.value; }); done(); } },
      desk.easings.map((name) => h("option", { value: name, text: name.replaceAll("-", " ") })));
    const explore = controls.button({ label: "To Explore", kind: "quiet", help: "Shows this place in Explore", onClick: () => toExplore(timeline) });
    const remove = controls.button({ label: "Remove keyframe", icon: "trash", iconOnly: true, kind: "quiet", key: "Delete", onClick: () => timeline.remove(timeline.chosen.path, timeline.chosen.i) });
    const unit = h("span", { class: "studio-quiet", text: "s" });
    inspector.append(time.input, unit, value.input, choice, easing, explore, remove);
    inspector.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" && !(event.key === "Enter" && event.target.matches("input"))) return;
      const { path, i } = timeline.chosen || {};
      const track = path === "latent" ? timeline.placeRow : timeline.rows.get(path);
      queueMicrotask(() => track?.querySelectorAll(".film-key")[i]?.focus());
    }, true);
    return { time, value, choice, easing, explore };
  }

  async function toExplore(timeline) {
    const key = film.places()?.keys[timeline.chosen?.i];
    if (!key) return;
    const { film: _, ...still } = film.value;
    await recipe.replace({ ...still, film: null, latent: key.latent }, { source: "film" });
    status("Explore shows this place now. Change it there and press K here to put it back.");
  }

  function show(timeline) {
    const { chosen, inspector } = timeline;
    const lane = chosen && (chosen.path === "latent" ? film.places() : film.lane(chosen.path));
    const key = lane?.keys[chosen.i];
    inspector.hidden = !key || !desk;
    if (inspector.hidden) return;
    parts ||= build(timeline);
    const isPlace = chosen.path === "latent";
    const target = film.target(chosen.path);
    const words = !isPlace && target?.choices.length ? target.choices : null;
    if (!isFocused(parts.time.input)) parts.time.show(key.time);
    parts.value.input.hidden = isPlace || !!words;
    parts.choice.hidden = !words;
    parts.explore.hidden = !isPlace;
    if (words) {
      parts.choice.replaceChildren(...words.map((word, n) => h("option", { value: String(n), text: word })));
      parts.choice.value = String(Math.round(key.value));
    } else if (!isPlace && !isFocused(parts.value.input)) parts.value.show(key.value);
    parts.easing.value = key.easing;
  }

  function focus(timeline) {
    show(timeline);
    if (!timeline.inspector.hidden) {
      parts.time.input.focus();
      parts.time.input.select();
    }
  }

  Object.assign(window.studio, { filmInspector: { show, focus } });
})();
