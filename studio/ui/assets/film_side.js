/* The right column of Animate: pictures to go through, sounds, the film's own settings. */
(() => {
  "use strict";
  const { h, on, call, guarded, controls, film, session, model, status, clone, recipe } = window.studio;
  const RANDOM = 4;

  // ---- a route through pictures, in two clicks ------------------------------------------------------------------------------
  function routeGroup(server) {
    const chosen = new Map();
    let saved = [];
    const tiles = h("div", { class: "film-choices", role: "group", "aria-label": "Pictures to go through" });
    const make = controls.button({ label: "Make a film", kind: "primary", help: "Goes through the chosen pictures in even steps and back to the first", onClick: () => go([...chosen.values()].map((each) => (each.recipe ? { recipe: each.recipe } : { id: each.saved }))) });
    const all = controls.button({ label: "Choose all", kind: "quiet", onClick: () => { pictures().slice(0, 12).forEach((each) => chosen.set(each.key, each)); draw(); } });
    const random = controls.button({ label: "Four at random", icon: "dice", help: "A film through four random places of this model", onClick: () => {
      const seeds = Array.from({ length: RANDOM }, () => Math.floor(Math.random() * 100000));
      go(seeds.map((x) => ({ recipe: { ...clone(recipe.value), film: null, mixing: [], blends: [], restyle: null, latent: { ...clone(recipe.value.latent), x, y: 0, ws: "" } } })));
    } });
    const hint = h("p", { class: "studio-quiet", text: "Pictures that you make or save appear here. Choose some, in the order of the film." });

    async function go(list) {
      if (!list.length) return status("Choose some pictures first: click them in the order of the film.");
      const answer = await film.ask("make_route", { pictures: list, recipe: film.value });
      if (answer) { chosen.clear(); draw(); window.studio.player.seek(0); }
      return undefined;
    }

    function pictures() {
      const name = film.value?.model.name || model.facts?.name;
      const own = (window.studio.stripItems?.() || []).filter((item) => !item.recipe.restyle && item.recipe.model.name === name).map((item) => ({ key: `strip ${item.id}`, url: item.url, name: item.name, recipe: item.recipe }));
      return [...own, ...saved.filter((item) => item.model === name).map((item) => ({ key: `saved ${item.id}`, url: item.url, name: item.name, saved: item.id }))].slice(0, 40);
    }

    function draw() {
      const shown = pictures();
      const order = [...chosen.keys()];
      const focus = document.activeElement?.dataset?.key;
      tiles.replaceChildren(...shown.map((each) => h("button", { type: "button", class: "film-choice", "data-key": each.key, "aria-pressed": String(chosen.has(each.key)), "aria-label": each.name, title: each.name,
        onclick: () => { if (!chosen.delete(each.key)) chosen.set(each.key, each); draw(); } }, h("img", { src: each.url, alt: "", draggable: false }), chosen.has(each.key) ? h("b", { text: String(order.indexOf(each.key) + 1) }) : null)));
      if (focus) tiles.querySelector(`[data-key="${CSS.escape(focus)}"]`)?.focus();
      hint.hidden = shown.length > 0;
      tiles.hidden = !shown.length;
      all.hidden = shown.length < 2;
      make.disabled = !chosen.size;
      random.disabled = !model.facts;
    }

    async function refresh() {
      const answer = await guarded(() => call(server, "saved"));
      if (answer) saved = answer.pictures;
      draw();
    }
    on("strip", draw);
    on("picture-made", () => queueMicrotask(draw));
    on("model", draw);
    on("gallery", refresh);
    on("film", ({ source }) => { if (source !== "edit") draw(); });
    on("film-route", (list) => go(list));
    refresh();
    const section = controls.group("Route", hint, tiles, h("div", { class: "film-buttons" }, make, random, all));
    return section;
  }

  // ---- sounds ------------------------------------------------------------------------------------------------------------------
  function soundGroup() {
    const list = h("div", { class: "film-sounds", role: "list" });
    const chooser = h("input", { type: "file", hidden: true, multiple: true, accept: "audio/*,video/*,.mid,.midi,.flac,.opus", onchange: () => { window.studio.drops.deliver([...chooser.files]); chooser.value = ""; } });
    const choose = controls.button({ label: "Choose a sound", icon: "upload", help: "Any sound, a film's sound, stems or MIDI; or drop a file anywhere on the page", onClick: () => chooser.click() });
    const row = (ref, i) => {
      const facts = film.facts.sounds[i] || {};
      const change = (mutate, done) => film.edit((value) => mutate(value.sounds[i]), done);
      const isMidi = /\.midi?$/i.test(ref.name);
      const heard = controls.toggle({ label: "Heard", value: ref.is_heard, help: "Goes into the film; otherwise it only steers", onChange: (isOn) => change((sound) => { sound.is_heard = isOn; }, true) });
      const start = controls.number({ label: `Where ${ref.name} begins, seconds`, value: ref.start, low: -36000, high: 36000, step: 0.1, fine: 0.01, onInput: (value) => change((sound) => { sound.start = value; }, false), onCommit: () => film.commit() });
      const remove = controls.button({ label: `Take ${ref.name} out`, icon: "close", iconOnly: true, kind: "quiet", onClick: () => film.edit((value) => {
        value.sounds.splice(i, 1);
        value.matrix = value.matrix.filter((entry) => entry.sound !== i).map((entry) => ({ ...entry, sound: entry.sound > i ? entry.sound - 1 : entry.sound }));
      }) });
      const words = facts.missing ? "not here any more: give the file once more" : [facts.duration ? `${facts.duration.toFixed(1)} s` : "", facts.tempo ? `${Math.round(facts.tempo)} BPM` : ""].filter(Boolean).join(", ");
      return h("div", { class: "film-sound", role: "listitem" }, h("div", { class: "film-sound-name" }, h("b", { text: ref.name, title: ref.name }), h("small", { class: facts.missing ? "film-missing" : "", text: words })), isMidi ? null : heard.element, controls.field("Start, s", start, "Where in the sound the film begins"), remove);
    };
    const fit = controls.button({ label: "Film as long as the sound", kind: "quiet", onClick: () => {
      const length = Math.max(...film.facts.sounds.map((facts, i) => facts.duration - film.value.film.sounds[i].start));
      const most = film.desk.limits.seconds || 36000;
      film.edit((value) => stretch(value, Math.min(most, Math.max(0.1, Number(length.toFixed(3))))));
    } });
    const coming = h("div", { class: "film-sounds", role: "list", "aria-label": "Sounds that are being taken in" });
    const works = new Map();
    on("film-listening", () => {
      for (const [work, [row]] of works) if (!film.listening.includes(work)) { row.remove(); works.delete(work); }
      for (const work of film.listening) {
        if (!works.has(work)) works.set(work, comingRow(work));
        const [row, line, words] = works.get(work);
        if (!row.isConnected) coming.append(row);
        const share = Math.round(work.share * 100);
        line.dataset.known = share ? "1" : "";
        line.style.setProperty("--share", String(work.share));
        line.setAttribute("aria-valuenow", String(share));
        words.textContent = share >= 100 ? "finding its beats" : share > 0 ? `listening, ${share} %` : "listening";
      }
    });
    function comingRow(work) {
      const line = h("div", { class: "studio-progress", role: "progressbar", "aria-label": `Listening to ${work.name}` }, h("i"));
      const words = h("small");
      const stop = controls.button({ label: "Cancel", kind: "quiet", help: "The sound is not taken in", onClick: () => { work.stop(); stop.disabled = true; } });
      return [h("div", { class: "film-sound coming", role: "listitem" }, h("div", { class: "film-sound-name" }, h("b", { text: work.name, title: work.name }), words), stop, line), line, words];
    }
    const early = [];
    const waits = h("p", { class: "studio-quiet", hidden: true });
    const showEarly = () => {
      waits.hidden = !early.length;
      waits.textContent = `${early.map((ref) => ref.name).join(", ")}: here, and joins the film that you make.`;
    };
    on("film", ({ recipe: value }) => {
      if (value && early.length) queueMicrotask(() => film.edit((next) => { next.sounds.push(...early.splice(0)); }));
      queueMicrotask(showEarly);
    });

    let shown = "";
    function draw() {
      const now = JSON.stringify([film.value?.film.sounds, film.facts.sounds.map((facts) => [facts.duration, facts.missing])]);
      fit.hidden = !film.facts.sounds.some((facts) => facts.duration);
      if (now === shown || list.contains(document.activeElement)) return;
      shown = now;
      list.replaceChildren(...(film.value?.film.sounds || []).map(row));
    }
    on("film", draw);
    on("film-facts", draw);
    list.addEventListener("focusout", () => setTimeout(draw));
    on("film-sound", ({ sound, tempo, duration }) => {
      if (!film.value) {
        if (!early.some((ref) => ref.sha256 === sound.sha256)) early.push(sound);
        showEarly();
        return status(`${sound.name} is here and joins the film that you make: choose pictures, then Make a film.`);
      }
      const known = film.value.film.sounds.findIndex((ref) => ref.sha256 === sound.sha256);
      if (known >= 0) return film.commit();
      film.edit((value) => { value.sounds.push(sound); });
      return status(`${sound.name}: ${duration.toFixed(1)} s${tempo ? `, ${Math.round(tempo)} beats per minute` : ""}. Choose a preset to let it move the film.`);
    });
    return controls.group("Sound", list, coming, waits, h("div", { class: "film-buttons" }, choose, chooser, fit));
  }

  /** Make a film longer or shorter; its keyframes keep their share of the time. */
  function stretch(value, seconds) {
    const factor = seconds / value.seconds;
    for (const lane of [...value.lanes, ...value.latents]) for (const key of lane.keys) key.time = Number((key.time * factor).toFixed(6));
    value.seconds = seconds;
  }

  // ---- settings ------------------------------------------------------------------------------------------------------------------
  function settingsGroup(options) {
    const change = (mutate, done = true) => film.edit(mutate, done);
    const limits = () => film.desk?.limits || {};
    const seconds = controls.number({ label: "Length, seconds", value: 10, low: 0.1, high: 36000, step: 1, fine: 0.1, onInput: () => {}, onCommit: () => {
      const wanted = Math.min(limits().seconds || 36000, Math.max(0.1, seconds.input.valueAsNumber || 10));
      if (film.value && wanted !== film.value.film.seconds) change((value) => stretch(value, wanted));
    } });
    const fps = h("select", { class: "film-select", "aria-label": "Frames per second", onchange: () => change((value) => { value.fps = fps.value; }) });
    const size = h("select", { class: "film-select", "aria-label": "Size", onchange: () => { options.size = size.value; options.store(); } });
    const fit = h("select", { class: "film-select", "aria-label": "Edges", onchange: () => { options.fit = fit.value; options.store(); } },
      [["pad", "Black edges"], ["mirror", "Mirrored edges"], ["crop", "Cut off"]].map(([value, text]) => h("option", { value, text })));
    const kind = h("select", { class: "film-select", "aria-label": "Format", onchange: () => { options.kind = kind.value; options.store(); more.adapt(); } });
    const loop = controls.toggle({ label: "Loop", help: "The end meets the beginning", value: true, onChange: (isOn) => change((value) => { value.loop = isOn; }) });
    const flash = controls.toggle({ label: "Limit flashes", help: "Damps more than three large flashes per second, which can hurt people", value: true, onChange: (isOn) => change((value) => { value.flash_limit = isOn; }) });
    const more = moreGroup(options);
    const select = (label, node, help) => controls.help(h("label", { class: "studio-field" }, h("span", { text: label }), node), help);

    function fillSizes() {
      const own = model.facts?.resolution;
      const side = limits().side || 1e9;
      const sizes = [["", `The model's own${own ? `, ${own}` : ""}`], ...[256, 512, 1024, 2048].map((each) => [String(each), `${each} square`]), ["1280x720", "1280 × 720"], ["1920x1080", "1920 × 1080"], ["3840x2160", "3840 × 2160"], ["1080x1920", "1080 × 1920"], ["1080x1350", "1080 × 1350"]];
      size.replaceChildren(...sizes.filter(([value]) => Math.max(...(value || "0").split("x").map(Number)) <= side).map(([value, text]) => h("option", { value, text })));
      size.value = options.size;
      if (size.selectedIndex < 0) { options.size = ""; size.value = ""; }
    }
    on("film-desk", (desk) => {
      const rates = ["12", "15", "23.976", "24", "25", "29.97", "30", "48", "50", "60", "120"];
      fps.replaceChildren(...rates.filter((rate) => !desk.limits.rate || Number(rate) <= desk.limits.rate).map((value) => h("option", { value, text: value })));
      kind.replaceChildren(...desk.kinds.map(({ name, label }) => h("option", { value: name, text: label })));
      kind.value = options.kind;
      if (kind.selectedIndex < 0) { kind.selectedIndex = 0; options.kind = kind.value; }
      fit.value = options.fit;
      fillSizes();
      more.adapt();
    });
    on("model", fillSizes);
    on("film", () => {
      const value = film.value?.film;
      section.inert = !value;
      section.classList.toggle("off", !value);
      if (!value) return;
      if (document.activeElement !== seconds.input) seconds.show(value.seconds);
      if (![...fps.options].some((option) => option.value === value.fps)) fps.append(h("option", { value: value.fps, text: value.fps }));
      fps.value = value.fps;
      loop.set(value.loop);
      flash.set(value.flash_limit);
    });
    const section = controls.group("Film",
      h("div", { class: "studio-row" }, controls.field("Length, s", seconds, "Keyframes keep their share of the time"), select("Frames per second", fps, "How many pictures each second has")),
      h("div", { class: "studio-row" }, select("Size", size, "Of the finished film"), select("Edges", fit, "How the picture is fitted into another shape")),
      select("Format", kind, "MP4 with H.264 plays everywhere"), h("div", { class: "studio-row" }, loop.element, flash.element), more.element);
    return section;
  }

  /** What most people leave alone: how well the file is encoded, and what enlarges the frames. */
  function moreGroup(options) {
    const choices = (name, label) => h("select", { class: "film-select", "aria-label": label, onchange: (event) => { options[name] = event.target.value; options.store(); adapt(); } });
    const [quality, effort, chroma] = [choices("quality", "Quality"), choices("effort", "Effort"), choices("chroma", "Colour detail")];
    const crf = controls.number({ label: "Quality as a number (CRF)", value: 18, low: 0, high: 63, onInput: (value) => { options.crf = value; options.store(); } });
    const upscaler = choices("upscaler", "Enlarge with");
    const select = (label, node, help) => controls.help(h("label", { class: "studio-field" }, h("span", { text: label }), node), help);
    const rows = {
      quality: select("Quality", quality, "Finer makes a larger file"), crf: controls.field("CRF", crf, "0 is best and largest; the format's own number is usual"),
      effort: select("Effort", effort, "Slower makes a smaller file of the same quality"), chroma: select("Colour detail", chroma, "Full colour keeps thin coloured lines sharp; some players cannot show it"),
      upscaler: select("Enlarge with", upscaler, "An ESRGAN model draws detail into every frame; bring one in at Models. Takes long without a graphics card"),
    };
    const element = h("details", { class: "studio-details" }, h("summary", { text: "More" }), h("div", { class: "studio-row" }, rows.quality, rows.crf), h("div", { class: "studio-row" }, rows.effort, rows.chroma), rows.upscaler);
    const fill = (node, entries, value) => {
      node.replaceChildren(...entries.map(([name, text]) => h("option", { value: name, text })));
      node.value = value;
      if (node.selectedIndex < 0) node.selectedIndex = 0;
      return node.value;
    };
    const efforts = (kind) => {
      const usual = kind.presets.indexOf(kind.preset);
      return { fast: kind.presets[Math.max(0, usual - 2)], slow: kind.presets[Math.min(kind.presets.length - 1, usual + 2)] };
    };

    /** Offer what the chosen format has. */
    function adapt() {
      const kind = film.desk?.kinds.find((entry) => entry.name === options.kind);
      if (!kind) return;
      options.quality = fill(quality, [["usual", "Usual"], ["smaller", "Smaller file"], ["finer", "Finer"], ["finest", "Finest"], ["number", "By number"]], options.quality);
      rows.quality.hidden = kind.crf === null;
      rows.crf.hidden = kind.crf === null || options.quality !== "number";
      crf.show(Math.min(options.crf ?? kind.crf ?? 18, kind.worst));
      options.effort = fill(effort, [["", "Usual"], ["fast", "Quick"], ["slow", "Thorough"]], options.effort);
      rows.effort.hidden = !kind.presets.length;
      options.chroma = fill(chroma, kind.chromas.map((value, i) => [i ? value : "", value === "444" ? "Full (4:4:4)" : "Usual (4:2:0)"]), options.chroma);
      rows.chroma.hidden = kind.chromas.length < 2;
      const names = film.desk.limits.side ? [] : session.models.filter((entry) => entry.kind === "upscaler").map((entry) => [entry.name, entry.name]);
      options.upscaler = fill(upscaler, [["", "Nothing: smooth (Lanczos)"], ...names], options.upscaler);
    }
    on("models", adapt);

    /** What the server is told of it. */
    options.wishes = () => {
      const kind = film.desk.kinds.find((entry) => entry.name === options.kind);
      const steps = { smaller: 6, finer: -5, finest: -10 };
      const number = options.quality === "number" ? options.crf ?? kind.crf : kind.crf + (steps[options.quality] || 0);
      const wished = { upscaler: options.upscaler || "", chroma: kind.chromas.length > 1 ? options.chroma || "" : "" };
      if (kind.crf !== null && options.quality !== "usual") wished.crf = Math.min(kind.worst, Math.max(0, Math.round(number)));
      wished.preset = efforts(kind)[options.effort] || "";
      return wished;
    };
    return { element, adapt };
  }

  Object.assign(window.studio, { filmSide: { routeGroup, soundGroup, settingsGroup } });
})();
