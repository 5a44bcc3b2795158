/* The OSC group of the sound board: where the studio listens, what came last, and which addresses there are. What a value that came in
 * moves is the board's business. */
(() => {
  "use strict";
  const { h, call, controls, session } = window.studio;
  const EVERY = 1000;
  const NOTHING = "Nothing came in yet.";

  class LiveOsc {
    /** isResting(): the board is shown and asks for no pictures, which bring the news along; onValue(path, value): a message set it. */
    constructor({ server, isResting, onValue }) {
      Object.assign(this, { server, isResting, onValue, seen: 0 });
      this.words = h("p", { class: "studio-quiet" });
      this.last = h("output", { class: "live-osc-last", "aria-live": "off", hidden: true });
      this.help = h("p", { class: "studio-quiet" });
      this.group = controls.group("OSC", this.words, this.last, h("details", { class: "studio-details" }, h("summary", { text: "Addresses" }), this.help));
      setInterval(() => this.watch(), EVERY);
    }

    /** Show where the studio listens: {host, port, last, serial}, or null when it does not. */
    show(osc) {
      this.group.dataset.on = osc ? "1" : "";
      this.words.textContent = osc ? `Listening at ${osc.host}, port ${osc.port}.` : session.settings.public ? "Off: a public studio does not listen to OSC." : "Off. Start the studio with: studio app --osc 9000";
      this.last.hidden = !osc;
      if (!osc) return;
      this.last.textContent = osc.last || NOTHING;
      this.seen = Math.min(this.seen, osc.serial);
    }

    /** Take over what messages set. */
    take({ serial, last, values }) {
      this.last.textContent = last || NOTHING;
      if (serial < this.seen) return;
      this.seen = serial;
      for (const [path, value] of Object.entries(values)) this.onValue(path, value);
    }

    /** Ask for news where no picture brings any. */
    async watch() {
      if (!this.isResting() || document.hidden || !this.group.dataset.on) return;
      const answer = await call(this.server, "listen").catch(() => null);
      if (answer) this.show(answer.osc);
    }
  }

  Object.assign(window.studio, { LiveOsc });
})();
