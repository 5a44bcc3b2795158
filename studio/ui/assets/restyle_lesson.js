/* Learning a style from a painting, in Restyle: choose it, name it, and watch the photo at hand being painted better and better. */
(() => {
  "use strict";
  const { h, call, guarded, controls, status, tabs, Refused } = window.studio;
  const KEPT = "studio.restyle.lesson";
  const EVERY = 3000;
  const LIVE = ["preparing", "running"];
  const MINUTES = [["5", "5 min"], ["10", "10 min"], ["15", "15 min"]];

  class StyleLesson {
    /** upload(file): where it is stored; photo(): the photo at hand or null; onLearnt(name): a style is ready. */
    constructor({ server, upload, photo, onLearnt }) {
      Object.assign(this, { server, upload, photo, onLearnt, files: [], minutes: "10", step: null });
      this.chooser = h("input", { type: "file", multiple: true, accept: "image/*", hidden: true, onchange: () => { this.offer([...this.chooser.files]); this.chooser.value = ""; } });
      this.begin = controls.button({ label: "Learn a style from a painting", help: "A painting, or several of one hand, become one more style in some minutes", icon: "plus", onClick: () => this.chooser.click() });
      this.name = h("input", { type: "text", maxlength: 60, autocomplete: "off", spellcheck: false });
      const time = controls.choice({ label: "Time", help: "Longer is truer to the painting", options: MINUTES, value: this.minutes, onChange: (value) => { this.minutes = value; } });
      this.start = controls.button({ label: "Start", kind: "primary", onClick: () => this.go() });
      this.form = h("div", { class: "studio-lesson", hidden: true }, h("label", { class: "studio-field" }, h("span", { text: "Name of the style" }), this.name), time.element,
        h("div", { class: "film-buttons" }, this.start, controls.button({ label: "Cancel", kind: "quiet", onClick: () => this.show("idle") })));
      this.words = h("p", { "aria-live": "polite" });
      this.bar = h("div", { class: "studio-progress", role: "progressbar", "aria-label": "Progress of the lesson", "data-known": "1" }, h("i"));
      this.preview = h("img", { alt: "The painting, the photo, and the photo in the style so far", hidden: true });
      this.stop = controls.button({ label: "Use it now", help: "Stop learning and take the style as it is", onClick: () => this.end() });
      this.run = h("div", { class: "studio-lesson", hidden: true }, this.words, this.bar, this.preview, this.stop);
      this.element = h("div", { class: "studio-lesson-place" }, this.chooser, this.begin, this.form, this.run);
    }

    show(what) {
      this.begin.hidden = what !== "idle";
      this.form.hidden = what !== "form";
      this.run.hidden = what !== "run";
    }

    /** Go on watching what was begun before the page was loaded. */
    recall() {
      const name = localStorage.getItem(KEPT);
      if (name) this.watch(name);
    }

    offer(files) {
      if (!files.length) return;
      this.files = files;
      this.name.value = files[0].name.replace(/\.[^.]*$/, "").slice(0, 60);
      this.show("form");
      this.name.select();
      this.name.focus();
    }

    async go() {
      this.start.disabled = true;
      const answer = await guarded(async () => {
        const paths = [];
        for (const file of this.files) paths.push((await this.upload(file)).path);
        return call(this.server, "begin_lesson", { paths, name: this.name.value.trim(), minutes: Number(this.minutes), photo: this.photo()?.id || "" });
      });
      this.start.disabled = false;
      if (!answer) return;
      status(answer.say);
      this.watch(answer.name);
    }

    watch(name) {
      localStorage.setItem(KEPT, name);
      Object.assign(this, { of: name, step: null });
      this.preview.hidden = true;
      this.words.textContent = `${name}: looking at the painting.`;
      this.bar.style.setProperty("--share", "0");
      this.show("run");
      this.ask();
    }

    async ask() {
      clearTimeout(this.timer);
      const name = this.of;
      if (!name) return;
      const answer = tabs.current() === "restyle" ? await call(this.server, "run_state", { name }).catch((error) => {
        if (!(error instanceof Refused)) throw error;
        return { state: "gone" };
      }) : null;
      if (this.of !== name) return;
      if (answer) await this.tell(answer);
      if (this.of === name) this.timer = setTimeout(() => this.ask(), EVERY);
    }

    async tell({ state, say, progress, snapshots }) {
      if (state === "gone" || state === "failed") {
        if (say) status(say, "error");
        this.leave();
        return;
      }
      this.words.textContent = `${this.of}: ${say}`;
      this.bar.style.setProperty("--share", String(progress));
      this.bar.setAttribute("aria-valuenow", String(Math.round(progress * 100)));
      const step = snapshots.at(-1);
      if (step !== undefined && step !== this.step) {
        this.step = step;
        const sheet = await guarded(() => call(this.server, "snapshot", { name: this.of, step }));
        if (sheet) Object.assign(this.preview, { src: sheet.url, hidden: false });
      }
      if (!LIVE.includes(state)) await this.take();
    }

    /** Stop and take what was learnt so far. */
    async end() {
      this.stop.disabled = true;
      await guarded(() => call(this.server, "stop_run", { name: this.of }));
      this.words.textContent = `${this.of}: saving what was learnt.`;
      this.stop.disabled = false;
    }

    async take() {
      const name = this.of;
      const answer = await guarded(() => call(this.server, "open_run", { name, best: false }));
      this.leave();
      if (!answer) return;
      status(`${name} is among the styles now.`);
      await this.onLearnt(name);
    }

    leave() {
      localStorage.removeItem(KEPT);
      clearTimeout(this.timer);
      this.of = "";
      this.show("idle");
    }
  }

  Object.assign(window.studio, { StyleLesson });
})();
