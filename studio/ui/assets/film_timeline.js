/* The timeline: a ruler with the playhead, the sound, the places with their pictures, a lane for every number that moves.
 * Keyframes are buttons: drag, arrow keys, Enter edits, Delete removes. */
(() => {
  "use strict";
  const { h, on, call, guarded, controls, film, player, filmCurves, drops, status } = window.studio;
  const MOST_ZOOM = 32;
  const CLICK = 4;

  class FilmTimeline {
    /** addPicture(recipe, time): put a picture of the strip at a moment. */
    constructor({ server, addPicture }) {
      Object.assign(this, { server, addPicture, zoom: 1, chosen: null, rows: new Map(), pictures: new Map(), levels: [] });
      this.playhead = h("input", { type: "range", class: "film-playhead-input", min: "0", max: "1", step: "any", value: "0", "aria-label": "Playhead",
        oninput: () => player.seek(film.snap(Number(this.playhead.value))) });
      this.playhead.addEventListener("keydown", (event) => this.keyPlayhead(event));
      this.ruler = h("canvas", { "aria-hidden": "true" });
      this.wave = h("canvas", { "aria-hidden": "true" });
      this.line = h("i", { class: "film-line" });
      this.grid = h("div", { class: "film-grid" }, this.row("Time", "ruler", this.ruler, this.playhead));
      this.soundRow = this.row("Sound", "sound", this.wave);
      this.path = h("select", { class: "film-select", "aria-label": "Way between the places", onchange: () => film.edit((value) => { value.latents.find((lane) => lane.target === "latent").path = this.path.value; }) });
      this.placeRow = this.row(this.path, "places");
      drops.take(this.placeRow, (picture) => this.addPicture(picture.recipe, this.droppedAt ?? player.time));
      this.placeRow.addEventListener("dragover", (event) => { this.droppedAt = film.snap(this.timeAt(event)); });
      this.grid.append(this.soundRow, this.placeRow, this.line);
      this.scroll = h("div", { class: "film-scroll" }, this.grid);
      this.inspector = h("div", { class: "film-inspector", role: "group", "aria-label": "The chosen keyframe", hidden: true });
      this.menu = h("select", { class: "film-select", "aria-label": "Animate a control", onchange: () => this.addLane(this.menu.value) });
      this.addButton = controls.button({ label: "Add picture", icon: "plus", key: "K", help: "Puts what Explore shows now at the playhead, with every value in which it differs", onClick: () => this.addPicture() });
      const zoomer = (label, icon, factor) => controls.button({ label, icon, iconOnly: true, kind: "quiet", onClick: () => this.setZoom(this.zoom * factor) });
      this.bar = h("div", { class: "film-bar", role: "toolbar", "aria-label": "Timeline" }, this.addButton, this.menu, this.inspector,
        h("span", { class: "grow" }), zoomer("See more of the time", "minus", 0.5), zoomer("See less, larger", "plus", 2));
      this.element = h("section", { class: "film-time", "aria-label": "Timeline" }, this.bar, this.scroll);
      this.scroll.addEventListener("pointerdown", (event) => this.scrub(event));
      new ResizeObserver(() => this.draw()).observe(this.scroll);
      on("theme", () => this.draw());
      on("film-desk", (desk) => this.path.replaceChildren(...desk.paths.map(([name, words]) => h("option", { value: name, text: words }))));
      on("film", ({ source }) => { if (source !== "edit") this.fetchPictures(); this.draw(); });
      on("film-facts", () => { this.fillMenu(); this.draw(); });
      on("film-levels", (levels) => { this.levels = levels; this.draw(); });
      on("film-time", ({ time }) => this.follow(time));
    }

    row(name, kind, ...inside) {
      const track = h("div", { class: "film-track", "data-kind": kind }, inside);
      return h("div", { class: "film-row", "data-kind": kind }, h("div", { class: "film-name" }, name), track);
    }

    // ---- time and place on the screen ----------------------------------------------------------------------------------
    timeAt(event) {
      const box = this.ruler.getBoundingClientRect();
      return Math.min(Math.max(0, ((event.clientX - box.left) / box.width) * film.facts.seconds), film.facts.seconds);
    }

    setZoom(zoom) {
      this.zoom = Math.min(MOST_ZOOM, Math.max(1, zoom));
      this.grid.style.setProperty("--zoom", String(this.zoom));
      this.draw();
      const box = this.scroll;
      const name = this.ruler.parentElement.previousElementSibling.offsetWidth;
      box.scrollLeft = (player.time / film.facts.seconds) * (this.grid.offsetWidth - name) - (box.clientWidth - name) / 2;
    }

    follow(time) {
      this.grid.style.setProperty("--at", String(time / (film.facts.seconds || 1)));
      this.playhead.max = String(film.facts.seconds);
      this.playhead.value = String(time);
      this.playhead.setAttribute("aria-valuetext", `${time.toFixed(2)} seconds, frame ${film.frameOf(time)}`);
    }

    keyPlayhead(event) {
      const frame = 1 / film.facts.rate;
      const step = { ArrowLeft: -frame, ArrowRight: frame, ArrowDown: -frame, ArrowUp: frame, PageDown: -1, PageUp: 1 }[event.key];
      if (event.key === " ") player.toggle();
      else if (event.key === "Home") player.seek(0);
      else if (event.key === "End") player.seek(film.facts.seconds);
      else if (step) player.seek(film.snap(player.time + step * (event.shiftKey && Math.abs(step) < 1 ? film.facts.rate : 1)));
      else return;
      event.preventDefault();
      event.stopPropagation();
    }

    scrub(event) {
      const track = event.target.closest(".film-track");
      if (!track || event.button !== 0 || !film.value || event.target.closest(".film-key")) return;
      event.preventDefault();
      this.playhead.focus({ preventScroll: true });
      const wasPlaying = player.isPlaying;
      player.pause();
      const move = (next, isMoving) => player.seek(film.snap(this.timeAt(next)), isMoving);
      move(event, true);
      const onMove = (next) => move(next, true);
      const onUp = () => {
        removeEventListener("pointermove", onMove);
        player.seek(player.time);
        if (wasPlaying) player.play();
      };
      addEventListener("pointermove", onMove);
      addEventListener("pointerup", onUp, { once: true });
      if (track.dataset.target && event.detail === 2) this.addKey(track.dataset.target, film.snap(this.timeAt(event)));
    }

    // ---- rows ------------------------------------------------------------------------------------------------------------
    draw() {
      cancelAnimationFrame(this.frame);
      this.frame = requestAnimationFrame(() => this.paint());
    }

    paint() {
      this.element.inert = !film.value;
      if (!this.scroll.clientWidth) return;
      const lanes = film.value?.film.lanes || [];
      for (const [path, row] of this.rows) if (!lanes.some((lane) => lane.target === path)) { row.remove(); this.rows.delete(path); }
      lanes.forEach((lane) => { if (!this.rows.has(lane.target)) this.grid.append(this.makeLane(lane.target)); });
      filmCurves.drawRuler(this.ruler);
      filmCurves.drawSound(this.wave, this.levels);
      this.soundRow.hidden = !film.value?.film.sounds.length;
      this.follow(player.time);
      const places = film.places();
      this.path.value = places?.path || "spline";
      this.path.disabled = !places;
      this.placeKeys(this.placeRow.querySelector(".film-track"), places, "latent");
      for (const lane of lanes) this.paintLane(lane);
      window.studio.filmInspector.show(this);
    }

    makeLane(path) {
      const target = film.target(path);
      const label = target?.label || path;
      const remove = h("button", { type: "button", class: "film-x", "aria-label": `Stop animating ${label}`, onclick: () => film.edit((value) => { value.lanes = value.lanes.filter((lane) => lane.target !== path); }) }, controls.icon("close"));
      const row = this.row([h("span", { text: label, title: target?.help || path }), remove], "number", h("canvas", { "aria-hidden": "true" }));
      row.querySelector(".film-track").dataset.target = path;
      this.rows.set(path, row);
      return row;
    }

    /** What the height of a lane stands for: the range of the value, or what its keyframes need where it has none. */
    span(path) {
      const target = film.target(path);
      const values = film.lane(path)?.keys.map((key) => key.value) || [0];
      const [least, most] = [Math.min(...values), Math.max(...values)];
      const isWide = !target || target.low === null || target.high === null || target.high - target.low > 1000;
      return isWide ? [least - 1, most + 1] : [target.low, target.high];
    }

    paintLane(lane) {
      const row = this.rows.get(lane.target);
      const [low, high] = this.span(lane.target);
      filmCurves.drawLane(row.querySelector("canvas"), lane, low, high);
      this.placeKeys(row.querySelector(".film-track"), lane, lane.target);
    }

    placeKeys(track, lane, path) {
      const keys = lane?.keys || [];
      const shown = [...track.querySelectorAll(".film-key")];
      shown.slice(keys.length).forEach((button) => button.remove());
      const [low, high] = path === "latent" ? [0, 1] : this.span(path);
      keys.forEach((key, i) => {
        const button = shown[i] || track.appendChild(this.makeKey(path, i));
        const share = path === "latent" ? 0.5 : (key.value - low) / (high - low || 1);
        button.style.setProperty("--x", String(key.time / film.facts.seconds));
        button.style.setProperty("--y", String(1 - Math.min(1, Math.max(0, share))));
        button.setAttribute("aria-pressed", String(this.chosen?.path === path && this.chosen.i === i));
        const words = path === "latent" ? "Place" : `${film.target(path)?.label || path} ${Number(key.value.toFixed(3))}`;
        button.setAttribute("aria-label", `${words} at ${key.time.toFixed(2)} s`);
        if (path === "latent") this.showPicture(button, key.latent);
      });
    }

    makeKey(path, i) {
      const button = h("button", { type: "button", class: `film-key ${path === "latent" ? "place" : ""}`, title: "Drag, or arrow keys; Enter edits, Delete removes" }, path === "latent" ? h("img", { alt: "", draggable: false, hidden: true }) : h("i"));
      button.addEventListener("focus", () => this.choose(path, i));
      button.addEventListener("pointerdown", (event) => this.drag(event, button, path, i));
      button.addEventListener("keydown", (event) => this.keyKey(event, path, i));
      button.addEventListener("dblclick", () => window.studio.filmInspector.focus(this));
      return button;
    }

    choose(path, i) {
      this.chosen = { path, i };
      this.draw();
    }

    // ---- moving ----------------------------------------------------------------------------------------------------------
    /** Change a keyframe: change(key). done: the hand let go. */
    editKey(path, i, change, done = true) {
      film.edit((value) => {
        const lane = path === "latent" ? value.latents.find((each) => each.target === "latent") : value.lanes.find((each) => each.target === path);
        if (lane?.keys[i]) change(lane.keys[i]);
      }, done);
    }

    /** A moment near a beat becomes the beat. */
    near(time) {
      const beats = film.facts.sounds.flatMap((facts, n) => (facts.beats || []).map((beat) => beat - (film.value.film.sounds[n]?.start || 0)));
      const reach = (6 / this.ruler.clientWidth) * film.facts.seconds;
      const found = beats.find((beat) => Math.abs(beat - time) < reach);
      return film.snap(found ?? time);
    }

    drag(event, button, path, i) {
      if (event.button !== 0) return;
      event.preventDefault();
      event.stopPropagation();
      button.focus({ preventScroll: true });
      this.choose(path, i);
      const lane = path === "latent" ? film.places() : film.lane(path);
      const from = { x: event.clientX, y: event.clientY, time: lane.keys[i].time, value: lane.keys[i].value };
      const [low, high] = path === "latent" ? [0, 1] : this.span(path);
      const height = button.parentElement.clientHeight - 16;
      let way = "";
      const onMove = (next) => {
        const [dx, dy] = [next.clientX - from.x, next.clientY - from.y];
        if (!way && Math.hypot(dx, dy) < CLICK) return;
        way ||= path !== "latent" && Math.abs(dy) > Math.abs(dx) ? "value" : "time";
        this.editKey(path, i, (key) => {
          if (way === "time") key.time = this.near(from.time + (dx / this.ruler.clientWidth) * film.facts.seconds);
          else key.value = Number(Math.min(high, Math.max(low, from.value - (dy / height) * (high - low) * (next.shiftKey ? 0.1 : 1))).toFixed(4));
        }, false);
      };
      addEventListener("pointermove", onMove);
      addEventListener("pointerup", () => {
        removeEventListener("pointermove", onMove);
        if (way) film.commit();
      }, { once: true });
    }

    keyKey(event, path, i) {
      const lane = path === "latent" ? film.places() : film.lane(path);
      const key = lane?.keys[i];
      if (!key) return;
      const frames = (event.shiftKey ? 10 : 1) / film.facts.rate;
      const [low, high] = path === "latent" ? [0, 0] : this.span(path);
      const amount = (high - low) / (event.shiftKey ? 10 : 100);
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") this.later(path, i, (each) => { each.time = film.snap(each.time + (event.key === "ArrowRight" ? frames : -frames)); });
      else if ((event.key === "ArrowUp" || event.key === "ArrowDown") && amount) this.later(path, i, (each) => { each.value = Number(Math.min(high, Math.max(low, each.value + (event.key === "ArrowUp" ? amount : -amount))).toFixed(4)); });
      else if (event.key === "Enter") window.studio.filmInspector.focus(this);
      else if (event.key === "Delete" || event.key === "Backspace") this.remove(path, i);
      else return;
      event.preventDefault();
      event.stopPropagation();
    }

    later(path, i, change) {
      this.editKey(path, i, change, false);
      clearTimeout(this.timer);
      this.timer = setTimeout(() => film.commit(), 350);
    }

    remove(path, i) {
      const track = (path === "latent" ? this.placeRow : this.rows.get(path))?.querySelector(".film-track");
      film.edit((value) => {
        const lane = path === "latent" ? value.latents.find((each) => each.target === "latent") : value.lanes.find((each) => each.target === path);
        lane.keys.splice(i, 1);
        if (!lane.keys.length && path !== "latent") value.lanes = value.lanes.filter((each) => each !== lane);
        if (!lane.keys.length && path === "latent") value.latents = value.latents.filter((each) => each !== lane);
      });
      this.chosen = null;
      this.paint();
      (track?.isConnected && track.querySelector(".film-key") || this.playhead).focus();
      status("Removed. Undo brings it back.");
    }

    addKey(path, time) {
      const lane = film.lane(path);
      const { seconds } = film.facts;
      if (lane.keys.some((key) => Math.abs(key.time - time) < 0.5 / film.facts.rate)) return;
      const value = Number(filmCurves.laneValue(lane.keys, time, seconds, film.value.film.loop).toFixed(4));
      film.edit((next) => next.lanes.find((each) => each.target === path).keys.push({ time, value, easing: "smoothstep" }));
      this.chosen = { path, i: lane.keys.length };
    }

    addLane(path) {
      this.menu.value = "";
      if (!path) return;
      const time = film.snap(player.time);
      if (film.lane(path)) this.addKey(path, time);
      else film.edit((next) => next.lanes.push({ target: path, keys: [{ time, value: film.target(path).value, easing: "smoothstep" }] }));
      this.chosen = { path, i: film.lane(path).keys.length - 1 };
      this.paint();
      const keys = this.rows.get(path).querySelectorAll(".film-key");
      keys[keys.length - 1].focus();
      this.rows.get(path).scrollIntoView({ block: "nearest" });
    }

    fillMenu() {
      const options = film.facts.targets.filter((target) => target.kind === "number").map((target) => h("option", { value: target.path, text: target.label, title: target.help }));
      this.menu.replaceChildren(h("option", { value: "", text: "Animate a control …" }), ...options);
    }

    // ---- the pictures of the places -----------------------------------------------------------------------------------
    pictureKey(latent) {
      const { model, truncation, noise } = film.value;
      return JSON.stringify([model.name, truncation, noise, latent]);
    }

    showPicture(button, latent) {
      const url = this.pictures.get(this.pictureKey(latent));
      const image = button.firstElementChild;
      image.hidden = !url;
      if (url && image.src !== url) image.src = url;
    }

    async fetchPictures() {
      const missing = (film.places()?.keys || []).map((key) => key.latent).filter((latent) => !this.pictures.has(this.pictureKey(latent))).slice(0, 120);
      for (let at = 0; at < missing.length; at += 6) {
        const latents = missing.slice(at, at + 6);
        const keys = latents.map((latent) => this.pictureKey(latent));
        const answer = await guarded(() => call(this.server, "key_pictures", { recipe: { ...film.value, film: null }, latents }));
        if (!answer) return;
        answer.urls.forEach((url, n) => this.pictures.set(keys[n], url));
        this.draw();
      }
    }
  }

  Object.assign(window.studio, { FilmTimeline });
})();
