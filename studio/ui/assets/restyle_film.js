/* A film in Restyle: its moment, its range, how steady it is kept, what it will take, its job, and the finished film beside it.
 * What is done to a single frame is the developer's business (restyle_developer.js). */
(() => {
  "use strict";
  const { h, on, emit, call, guarded, latestWins, controls, status, tabs, fetchParts, FilmPair } = window.studio;
  const ACTIVE = ["running", "waiting", "paused"];
  const TRIED = 2;
  const AGAIN = 1000;
  const shape = (path) => h("svg", { viewBox: "0 0 20 20", width: "18", height: "18", "aria-hidden": "true", class: "studio-icon" }, h("path", { d: path, fill: "currentColor" }));
  const facts = (lines) => lines.map(([what, value]) => h("div", {}, h("dt", { text: what }), h("dd", { text: value })));
  const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(2).padStart(5, "0")}`;

  class FilmDesk {
    /** wish, commit: as of the board; onFrame(frame, isDone): another moment; onBack(): the finished film is no longer looked at;
     * onTry(photo, wishes): a part is to be made. */
    constructor({ viewer, server, wish, commit, onFrame, onBack, onTry }) {
      Object.assign(this, { viewer, server, wish, commit, onFrame, onBack, onTry, photo: null, mode: "frame" });
      this.pair = new FilmPair({ onTime: (time) => this.showTime(time), onState: (isPlaying) => this.showPlay(isPlaying) });
      this.tell = latestWins((photo) => this.ask(photo));
      this.buildLine();
      this.buildGroup();
      on("jobs-listed", (jobs) => this.follow(jobs));
    }

    // ---- the moment, and the finished film ------------------------------------------------------------------------------
    buildLine() {
      this.range = h("input", { type: "range", min: "0", max: "1", step: "1", "aria-label": "Moment of the film",
        oninput: () => this.move(false), onchange: () => this.move(true) });
      this.track = h("div", { class: "studio-track" }, this.range);
      this.clock = h("output", { class: "restyle-clock" });
      this.playButton = h("button", { type: "button", class: "studio-button", "aria-label": "Play", "aria-keyshortcuts": "Space", onclick: () => this.pair.toggle() }, shape("M6 4l10 6-10 6z"));
      this.modes = controls.choice({ label: "What is shown", isLabelHidden: true, options: [["frame", "One frame"], ["film", "Finished film"]], value: "frame", onChange: (mode) => (mode === "film" ? this.watch() : this.leave()) });
      this.line = h("div", { class: "restyle-film-line", hidden: true }, this.playButton, this.track, this.clock, this.modes.element);
    }

    get isWatching() {
      return this.mode === "film";
    }

    move(isDone) {
      const frame = Number(this.range.value);
      if (this.isWatching) {
        this.pair.pause();
        this.pair.seek((frame + 0.5) / this.photo.film.rate - this.photo.result.start);
        return;
      }
      this.showTime((frame + 0.5) / this.photo.film.rate);
      this.onFrame(frame, isDone);
    }

    showTime(time) {
      const { film } = this.photo;
      const at = this.isWatching ? time + this.photo.result.start : this.photo.frame / film.rate;
      if (this.isWatching) this.range.value = String(Math.floor(at * film.rate));
      this.clock.textContent = `${clock(Math.min(at, film.seconds))} / ${clock(film.seconds)}`;
    }

    showPlay(isPlaying) {
      this.playButton.replaceChildren(shape(isPlaying ? "M5 4h3v12H5zM12 4h3v12h-3z" : "M6 4l10 6-10 6z"));
      this.playButton.setAttribute("aria-label", isPlaying ? "Pause" : "Play");
    }

    /** Show the finished film beside the original, both in step. */
    async watch() {
      const { photo } = this;
      const { result } = photo;
      if (!result || this.isWatching) return;
      this.mode = "film";
      this.modes.set("film");
      status("Fetching the finished film …");
      const isWanted = () => this.isWatching && this.photo === photo;
      const [before, after] = await Promise.all([photo.file || this.fetch("source_part", photo.id), this.fetch("film_part", result.item)]);
      if (!isWanted()) return;
      if (!before || !after) { this.leave(); return; }
      if (after.type.startsWith("image/")) { await this.showAnimations(photo, before, after); return; }
      let missing = await this.pair.open(before, after, result.start);
      if (missing === "before" && isWanted()) {
        const original = await this.fetchOriginal(photo, isWanted);
        if (original && isWanted()) missing = await this.pair.open(original, after, 0);
      }
      if (!isWanted()) return;
      if (missing) {
        this.leave();
        if (missing === "after") status("This browser cannot play the finished film. It is in the Gallery.", "error");
        return;
      }
      this.show(photo, this.pair.before, this.pair.after);
      this.playButton.hidden = false;
      status(`${photo.name} before and after, in step.`);
      this.pair.play();
    }

    fetch(name, id) {
      return guarded(() => fetchParts(this.server, name, id));
    }

    /** The original in a form that every browser plays: it is made ready once, and then fetched. */
    async fetchOriginal(photo, isWanted) {
      for (;;) {
        const answer = await guarded(() => call(this.server, "make_original", { id: photo.id, on: isWanted() }));
        if (!answer || !isWanted()) return null;
        if (answer.refused) { status(answer.refused, "error"); return null; }
        if (answer.done) return this.fetch("original_part", photo.id);
        status(`This browser cannot play ${photo.name} itself, so it is made ready: ${Math.round(answer.share * 100)} %.`);
      }
    }

    async showAnimations(photo, before, after) {
      this.pair.close();
      this.pair.urls = [before, after].map((blob) => URL.createObjectURL(blob));
      const images = await Promise.all(this.pair.urls.map((url) => window.studio.decode(url)));
      if (this.isWatching && this.photo === photo) this.show(photo, ...images);
      status(`${photo.name} before and after.`);
    }

    show(photo, before, after) {
      this.viewer.pair(before, after, { width: photo.width, height: photo.height, words: `${photo.name}, the whole film` });
      this.viewer.frame.dataset.film = "1";
    }

    /** Go back to a single frame. */
    leave({ isQuiet = false } = {}) {
      if (!this.isWatching) return;
      this.mode = "frame";
      this.modes.set("frame");
      this.pair.close();
      this.playButton.hidden = true;
      delete this.viewer.frame.dataset.film;
      if (isQuiet) return;
      this.set(this.photo);
      this.onBack();
    }

    // ---- range, steadiness, what it takes, the job -----------------------------------------------------------------------
    buildGroup() {
      this.name = h("b");
      this.size = h("span");
      this.facts = h("dl", { class: "restyle-facts" });
      this.about = h("dl", { class: "restyle-facts" });
      this.notes = h("p", { class: "studio-quiet" });
      this.refused = h("p", { class: "studio-problem", role: "alert", hidden: true });
      const number = (label, name) => controls.number({ label, value: 0, low: 0, high: 86400, step: 0.1, fine: 0.01, onInput: (value) => this.cut({ [name]: value }, false), onCommit: () => this.commit() });
      this.from = number("From, in seconds", "start");
      this.to = number("To, in seconds", "end");
      const button = (label, help, values) => controls.button({ label, help, kind: "small", onClick: () => { this.cut(values(), false); this.commit(); } });
      this.ends = [
        button("From here", "The film begins with the frame that is shown", () => this.here("start")),
        button("To here", "The film ends with the frame that is shown", () => this.here("end")),
        button("All of it", "The whole film", () => ({ start: 0, end: this.photo.film.most && this.photo.film.most < this.photo.film.seconds ? this.photo.film.most : null })),
        controls.button({ label: `Try ${TRIED} s`, help: "Makes two seconds from the frame that is shown, to see how steady they are", kind: "small", onClick: () => this.tryIt() }),
      ];
      this.jobWords = h("span", { class: "film-job-words" });
      this.bar = h("div", { class: "studio-progress", role: "progressbar", "aria-label": "Progress of the film", "data-known": "1" }, h("i"));
      this.jobList = controls.button({ label: "Job list", kind: "small", help: "Pause, cancel, go on", onClick: () => emit("jobs", { open: true }) });
      this.look = controls.button({ label: "Show in Gallery", kind: "small", onClick: async () => { await tabs.show("gallery"); emit("gallery-look", this.photo.result.item); } });
      this.job = h("div", { class: "restyle-job", hidden: true }, this.jobWords, this.bar, h("div", { class: "film-buttons" }, this.jobList, this.look));
      this.steady = h("div");
      this.group = controls.group("Film", h("div", { class: "studio-about" }, h("div", {}, this.name, this.size)), this.facts,
        h("div", { class: "restyle-ends" }, controls.field("From", this.from, "where in the film to begin, in seconds"), controls.field("To", this.to, "where in the film to end, in seconds")),
        h("div", { class: "film-buttons" }, this.ends), this.steady, this.about, this.notes, this.refused, this.job);
      this.group.hidden = true;
    }

    /** The range and help of steadiness are known when the session is there. */
    fill(bounds) {
      const { low, high, help, default: usual } = bounds["restyle.flicker"];
      this.steadiness = controls.slider({ label: "Steadiness", help: `${help}. In the film, colours are held over each shot, so a frame may differ a little from its preview`, low, high, step: 0.01, value: usual, reset: usual, onInput: (value) => this.wish({ flicker: value }, { isDone: false }), onCommit: () => this.commit() });
      this.steady.replaceWith(this.steadiness.element);
    }

    /** Change the range; what lies beyond the film's own end is all of it. */
    cut(values, isDone) {
      const { film, recipe: { restyle } } = this.photo;
      const range = { start: restyle.start, end: restyle.end, ...values };
      if (range.end !== null && range.end >= film.seconds - 1e-6) range.end = null;
      this.wish({ start: Number(Math.min(range.start, film.seconds).toFixed(6)), end: range.end === null ? null : Number(range.end.toFixed(6)) }, { isDone });
    }

    /** The range from or to the frame that is shown; the other end gives way where nothing would be left. */
    here(name) {
      const { film, frame, recipe: { restyle } } = this.photo;
      const start = frame / film.rate;
      const end = (frame + 1) / film.rate;
      if (name === "start") return { start, end: restyle.end !== null && restyle.end <= start ? null : restyle.end };
      return { end, start: restyle.start >= end ? 0 : restyle.start };
    }

    tryIt() {
      const { film, frame } = this.photo;
      const start = Number(Math.max(0, Math.min(frame / film.rate, film.seconds - TRIED)).toFixed(6));
      this.onTry(this.photo, { start, end: start + TRIED < film.seconds ? Number((start + TRIED).toFixed(6)) : null });
    }

    /** Show a film (or nothing: null). */
    set(photo) {
      if (photo !== this.photo) this.leave({ isQuiet: true });
      const isOther = photo !== this.photo;
      this.photo = photo;
      this.line.hidden = this.group.hidden = !photo;
      if (!photo) return;
      const { film, recipe: { restyle } } = photo;
      if (isOther) {
        this.name.textContent = this.name.title = photo.name;
        this.size.textContent = `${photo.width} x ${photo.height}`;
        this.facts.replaceChildren(...facts(film.lines));
      }
      this.range.max = String(Math.max(1, film.frames - 1));
      if (!this.isWatching) {
        this.range.value = String(photo.frame);
        this.playButton.hidden = true;
        this.showTime(0);
      }
      this.track.style.setProperty("--from", String(restyle.start / film.seconds));
      this.track.style.setProperty("--to", String((restyle.end ?? film.seconds) / film.seconds));
      this.from.show(restyle.start);
      this.to.show(restyle.end ?? film.seconds);
      this.steadiness?.set(restyle.flicker);
      this.showJob();
      if (isOther) {
        this.about.replaceChildren();
        this.notes.textContent = "";
        this.tell(photo);
        emit("jobs", {});
      }
    }

    async ask(photo) {
      if (photo !== this.photo || !photo.recipe.model.name) return;
      const answer = await guarded(() => call(this.server, "tell_film", { id: photo.id, recipe: photo.recipe }));
      if (!answer || photo !== this.photo) return;
      this.about.replaceChildren(...facts(answer.lines));
      this.notes.textContent = answer.notes.join(" ");
      this.notes.hidden = !answer.notes.length;
      this.refused.textContent = answer.refused;
      this.refused.hidden = !answer.refused;
      clearTimeout(this.asking);
      if (answer.again) this.asking = setTimeout(() => this.tell(photo), AGAIN);
    }

    /** Follow the list of jobs: the newest order of each film, and its newest result. */
    follow(jobs) {
      this.jobs = new Map(jobs.map((job) => [job.id, job]));
      if (this.photo) this.showJob();
    }

    showJob() {
      const { photo } = this;
      const made = photo.film.orders.map((order) => ({ ...order, ...this.jobs?.get(order.id) })).filter((order) => order.state);
      const newest = made[made.length - 1];
      const done = made.filter((order) => order.state === "done" && order.item).pop();
      if (done) photo.result = done;
      this.modes.element.hidden = !photo.result;
      this.job.hidden = !newest && !photo.result;
      this.look.hidden = !photo.result;
      this.jobList.hidden = !newest;
      this.bar.hidden = !newest || !ACTIVE.includes(newest.state);
      if (!newest) { this.jobWords.textContent = "Finished."; return; }
      this.job.dataset.state = newest.state;
      this.bar.style.setProperty("--share", String(newest.share));
      this.bar.setAttribute("aria-valuenow", String(Math.round(newest.share * 100)));
      const words = { done: "Finished.", failed: "It failed.", cancelled: "Cancelled." }[newest.state] || newest.label.replace(/^./, (letter) => letter.toUpperCase());
      this.jobWords.textContent = `${words} ${newest.note.replace(this.notes.textContent, "").trim()}`;
    }
  }

  Object.assign(window.studio, { FilmDesk });
})();
