/* What the sound board of Live listens to: the microphone, a sound file or nothing. It offers the choice and opens the ears; what is
 * heard and what it moves is told elsewhere. */
(() => {
  "use strict";
  const { h, controls, drops } = window.studio;
  const SOUND = /\.(mp3|wav|flac|ogg|oga|opus|m4a|aac)$/i;

  class LiveSources {
    /** state: {source, device} as they were kept, keep(values) keeps others; isShown(): dropped sounds are for this board;
     * onChange(): another source is chosen; onFile(): a file is to be played now. */
    constructor({ ears, state, keep, isShown, onChange, onFile }) {
      Object.assign(this, { ears, state, keep, onChange, onFile, file: null });
      this.choice = controls.choice({ label: "Listen to", options: [["microphone", "Microphone"], ["file", "Sound file"], ["none", "Nothing"]], value: state.source, help: "The microphone, a file that is played aloud, or nothing: then MIDI and OSC alone move the picture", onChange: async (source) => { keep({ source }); this.show(); await onChange(); } });
      this.deviceBox = h("select", { class: "studio-text", "aria-label": "Microphone", onchange: async () => { keep({ device: this.deviceBox.value }); await onChange(); } });
      this.deviceField = h("label", { class: "studio-field", hidden: true }, h("span", { text: "Microphone" }), this.deviceBox);
      this.chooser = h("input", { type: "file", accept: "audio/*,video/*", hidden: true, onchange: () => { if (this.chooser.files[0]) this.use(this.chooser.files[0]); this.chooser.value = ""; } });
      this.fileName = h("span", { class: "live-file" });
      this.fileRow = h("div", { class: "live-file-row", hidden: true }, this.fileName, controls.button({ label: "Choose a file", help: "Played aloud by this browser, round and round; or drop a sound on the page", onClick: () => this.chooser.click() }), this.chooser);
      drops.register({ name: "live-sound", order: 5, accepts: (file) => isShown() && (/^audio\//.test(file.type) || SOUND.test(file.name)), handle: ([file]) => this.use(file) });
      this.show();
    }

    get elements() {
      return [this.choice.element, this.deviceField, this.fileRow];
    }

    show() {
      this.fileRow.hidden = this.state.source !== "file";
      this.fileName.textContent = this.file?.name || "No file yet.";
      this.fileName.title = this.file?.name || "";
      if (this.state.source !== "microphone") this.deviceField.hidden = true;
    }

    /** Ask for the file that is to be played, where there is none yet; true when one had to be asked for. */
    asksForFile() {
      const isMissing = this.state.source === "file" && !this.file;
      if (isMissing) this.chooser.click();
      return isMissing;
    }

    async use(file) {
      this.file = file;
      this.keep({ source: "file" });
      this.choice.set("file");
      this.show();
      await this.onFile();
    }

    /** Open the ears for the microphone or the file; false when they were closed meanwhile. Throws EarsError. */
    open() {
      const { source, device } = this.state;
      return source === "file" ? this.ears.openFile(this.file) : this.ears.openMicrophone(device);
    }

    /** Offer the microphones there are, which the browser tells once one is open. */
    async fillDevices() {
      if (this.state.source !== "microphone") return;
      const found = await this.ears.list();
      this.deviceField.hidden = found.length < 2 || this.state.source !== "microphone";
      this.deviceBox.replaceChildren(...found.map(([id, title]) => h("option", { value: id, selected: id === this.ears.deviceId }, title)));
    }

    /** What is on now, in a sentence. */
    get words() {
      return { microphone: "The microphone is on.", file: `${this.file?.name} plays.`, none: "Playing without a sound: MIDI and OSC move the picture." }[this.state.source];
    }
  }

  Object.assign(window.studio, { LiveSources });
})();
