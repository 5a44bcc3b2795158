/* What every board of Live does alike: Start, Snapshot and Record with their states, what becomes of a recording, and what a board
 * remembers in this browser. How pictures come and what they show is the board's business. */
(() => {
  "use strict";
  const { h, call, controls, emit, guarded, status, Recorder } = window.studio;
  const SMALL = 384;
  const CANNOT = "This browser cannot record. Use a current Chrome, Edge, Firefox or Safari.";

  function read(key) {
    try {
      return JSON.parse(localStorage.getItem(key)) || {};
    } catch {
      return {};
    }
  }

  /** What was chosen on a board, as it was kept under a key, over what is usual: {state, keep(values)}. */
  function remembered(key, usual) {
    const state = { ...usual, ...read(key) };
    const keep = (values) => {
      Object.assign(state, values);
      localStorage.setItem(key, JSON.stringify(state));
    };
    return { state, keep };
  }

  function caption(button, words) {
    const part = button.querySelector("span");
    if (part.textContent !== words) part.textContent = words;
  }

  const minutes = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

  /** The buttons under a live picture, and the picture that was shown last, which they keep. */
  class LiveBar {
    /** stage, loop: the board's own; server, upload: for what is kept; allowed(): {seconds, keeps} of recordings;
     * still(shown): asks for the shown picture in full quality; film(shown): {recipe, width, sound} of a recording that begins now;
     * onStart(): Start or Stop was pressed; onChange(): a recording began, goes on or ended; helps: {start, record}. */
    constructor({ stage, loop, server, upload, allowed, still, film, onStart, onChange, helps }) {
      Object.assign(this, { stage, loop, server, upload, allowed, still, film, onChange, recorder: null, shown: null });
      this.startButton = controls.button({ label: "Start", key: "Space", help: helps.start, onClick: onStart });
      this.snapButton = controls.button({ label: "Snapshot", icon: "save", key: "S", help: "Keeps the picture of this moment in full quality: in the strip and in the Gallery", onClick: () => this.snapshot() });
      this.snapButton.setAttribute("aria-label", "Snapshot");
      this.recordButton = controls.button({ label: "Record", key: "V", help: helps.record, onClick: () => this.record() });
      this.recordButton.classList.add("studio-record");
    }

    get isRecording() {
      return !!this.recorder;
    }

    /** A picture is on the stage: {image, ...} with what still() and film() need to know of it. */
    take(shown) {
      this.shown = shown;
      this.recorder?.add(shown.image);
      const { seconds } = this.allowed();
      if (this.recorder?.seconds > seconds) this.end(`Recordings end after ${Math.round(seconds / 60)} minutes.`);
      this.onChange();
    }

    /** Forget the picture that was shown last. */
    clear() {
      this.shown = null;
    }

    /** Bring the buttons up to date. */
    draw({ isOn, canStart }) {
      const { startButton, snapButton, recordButton, recorder, shown } = this;
      caption(startButton, isOn ? "Stop" : "Start");
      startButton.classList.toggle("primary", !isOn && this.stage.empty.hidden);
      startButton.disabled = !canStart;
      snapButton.classList.toggle("primary", isOn);
      snapButton.disabled = !shown;
      recordButton.disabled = !recorder && (!this.loop.isRunning || !shown);
      recordButton.setAttribute("aria-pressed", String(!!recorder));
      caption(recordButton, recorder ? `Stop ${minutes(recorder.seconds)}` : "Record");
    }

    async snapshot() {
      if (!this.shown) return;
      this.snapButton.disabled = true;
      const answer = await guarded(() => this.stage.waiting(this.still(this.shown)));
      this.snapButton.disabled = !this.shown;
      if (!answer) return;
      status(answer.say);
      if (answer.item) emit("picture-made", answer.item);
      emit("gallery");
      if (answer.download) h("a", { href: answer.download, download: `${answer.id}` }).click();
    }

    /** Begin a recording, or end the one that goes on. */
    record() {
      if (this.recorder) return this.end();
      if (!this.shown || !this.loop.isRunning) return undefined;
      const { recipe, width, sound = null } = this.film(this.shown);
      if (!Recorder.formatFor(!!sound)) return status(CANNOT, "error");
      this.recorder = new Recorder(this.shown.image, { scale: width < SMALL ? 2 : 1, sound });
      this.recorder.recipe = recipe;
      status(`Recording${sound ? " with its sound" : ""}. Each picture stays for as long as it was on the screen.`);
      this.onChange();
      return undefined;
    }

    /** End the recording, if there is one, and keep it; the sentence says why it ended. */
    async end(sentence = "") {
      const { recorder } = this;
      if (!recorder) return;
      this.recorder = null;
      this.onChange();
      const film = await recorder.end(`${recorder.recipe.model.name}-live`);
      await this.stage.waiting(this.keep(film, recorder.recipe, sentence));
    }

    /** Bring a recorded film to the gallery, or where the studio keeps none to the downloads; says so in the status line. */
    async keep(film, recipe, sentence) {
      if (!this.allowed().keeps) {
        const url = URL.createObjectURL(film);
        h("a", { href: url, download: film.name }).click();
        setTimeout(() => URL.revokeObjectURL(url), 60000);
        status(`${sentence} ${film.name} is in your downloads.`.trim());
        return;
      }
      const answer = await guarded(async () => {
        const stored = await this.upload(film);
        return call(this.server, "keep_recording", { path: stored.path, recipe });
      });
      if (!answer) return;
      status(`${sentence} ${answer.say}`.trim());
      emit("gallery");
    }
  }

  Object.assign(window.studio, { LiveBar, remembered });
})();
