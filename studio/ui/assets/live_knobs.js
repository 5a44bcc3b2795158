/* The MIDI group of the sound board: turning MIDI on, which controllers are there and what their knobs move. How a message is read and
 * learned is told in live_midi.js. */
(() => {
  "use strict";
  const { h, controls, Midi, MidiError } = window.studio;
  const OFF = "Off. The browser is not asked for controllers until you turn it on.";

  class LiveKnobs {
    constructor() {
      this.button = controls.button({ label: "Turn MIDI on", help: "Asks the browser for your controllers; then press learn beside a value and move a knob", onClick: () => this.toggle() });
      this.words = h("p", { class: "studio-quiet", text: OFF });
      this.problem = h("p", { class: "studio-problem", role: "alert", hidden: true });
      this.list = h("ul", { class: "live-bindings", "aria-label": "What knobs move" });
      this.group = controls.group("MIDI", this.words, this.problem, h("div", {}, this.button), this.list);
      this.midi = new Midi({ onChange: () => this.show() });
      this.show();
    }

    async toggle() {
      this.problem.hidden = true;
      if (this.midi.isOn) return this.midi.turnOff();
      try {
        await this.midi.turnOn();
      } catch (error) {
        if (!(error instanceof MidiError)) throw error;
        this.problem.textContent = error.message;
        this.problem.hidden = false;
      }
      return undefined;
    }

    show() {
      const { isOn, learning, devices } = this.midi;
      this.button.querySelector("span").textContent = isOn ? "Turn MIDI off" : "Turn MIDI on";
      this.words.textContent = !isOn
        ? OFF
        : learning ? "Move the knob or press the key that shall do it."
          : devices.length ? `On: ${devices.join(", ")}. Press learn beside a value, then move a knob.` : "On, but no controller is connected. Connect one; it is found by itself.";
      this.list.replaceChildren(...this.midi.list());
    }
  }

  Object.assign(window.studio, { LiveKnobs });
})();
