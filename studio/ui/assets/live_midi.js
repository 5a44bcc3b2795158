/* Knobs and keys of MIDI controllers that move what they were taught to move. The browser is asked for MIDI only when it is turned on;
 * what was learned is kept in this browser. Knows nothing of pictures: targets are added with what they set. */
(() => {
  "use strict";
  const { h, controls } = window.studio;
  const KEPT = "studio.midi";
  const NONE = "This browser has no MIDI, or not for this address. Use a current Chrome, Edge, Opera or Firefox, with the studio on this computer or on https.";
  const DENIED = "The browser does not let this page use MIDI. Allow it beside the address, then turn it on again.";

  class MidiError extends Error {}

  /** What a message says: [key, share] with share 0 to 1; null for what is no knob, bend or key. */
  function read([status, first, second]) {
    const [kind, channel] = [status & 0xf0, status & 0x0f];
    if (kind === 0xb0) return [`cc.${channel}.${first}`, second / 127];
    if (kind === 0xe0) return [`bend.${channel}`, ((second << 7) | first) / 16383];
    if (kind === 0x90 && second > 0) return [`note.${channel}.${first}`, second / 127];
    return null;
  }

  function words(key) {
    const [kind, channel, number] = key.split(".");
    const what = { cc: `Knob ${number}`, bend: "Pitch bend", note: `Key ${number}` }[kind];
    return `${what}, channel ${Number(channel) + 1}`;
  }

  class Midi {
    /** onChange() when bindings, targets or what is being learned changed. */
    constructor({ onChange }) {
      Object.assign(this, { onChange, access: null, targets: new Map(), learning: "", buttons: new Map() });
      this.bindings = new Map(this.stored());
    }

    stored() {
      try {
        const found = JSON.parse(localStorage.getItem(KEPT)) || [];
        return found.filter((pair) => Array.isArray(pair) && pair.length === 2 && pair.every((part) => typeof part === "string"));
      } catch {
        return [];
      }
    }

    store() {
      localStorage.setItem(KEPT, JSON.stringify([...this.bindings]));
      this.refresh();
      this.onChange();
    }

    get isOn() {
      return !!this.access;
    }

    get devices() {
      return this.access ? [...this.access.inputs.values()].map((input) => input.name || "a controller") : [];
    }

    async turnOn() {
      if (!navigator.requestMIDIAccess) throw new MidiError(NONE);
      try {
        this.access = await navigator.requestMIDIAccess({ sysex: false });
      } catch (error) {
        throw new MidiError(error.name === "NotSupportedError" ? NONE : DENIED);
      }
      this.access.onstatechange = () => { this.attach(); this.onChange(); };
      this.attach();
      this.refresh();
      this.onChange();
    }

    attach() {
      for (const input of this.access?.inputs.values() || []) input.onmidimessage = (event) => this.take(event.data);
    }

    turnOff() {
      for (const input of this.access?.inputs.values() || []) input.onmidimessage = null;
      if (this.access) this.access.onstatechange = null;
      this.access = null;
      this.learning = "";
      this.refresh();
      this.onChange();
    }

    take(data) {
      const found = read(data);
      if (!found) return;
      const [key, share] = found;
      if (this.learning) {
        for (const [other, id] of this.bindings) if (id === this.learning) this.bindings.delete(other);
        this.bindings.set(key, this.learning);
        this.learning = "";
        this.store();
      }
      const target = this.targets.get(this.bindings.get(key));
      target?.set(target.low + share * (target.high - target.low));
    }

    /** Wait for a knob to be moved for a target; the same once more gives up. */
    learn(id) {
      this.learning = this.learning === id ? "" : id;
      this.refresh();
      this.onChange();
    }

    remove(key) {
      this.bindings.delete(key);
      this.store();
    }

    /** Make a value movable: {label, low, high, set(value)}; returns the button that learns it. */
    target(id, target) {
      this.targets.set(id, target);
      const button = h("button", { type: "button", class: "live-learn", "data-target": id, onclick: () => this.learn(id) });
      this.buttons.set(id, button);
      this.refresh();
      this.onChange();
      return button;
    }

    forget(id) {
      this.targets.delete(id);
      this.buttons.delete(id);
      this.onChange();
    }

    refresh() {
      for (const [id, button] of this.buttons) {
        const label = this.targets.get(id)?.label || id;
        const key = [...this.bindings].find(([, other]) => other === id)?.[0];
        const isLearning = this.learning === id;
        button.hidden = !this.isOn;
        button.textContent = isLearning ? "move it" : key ? words(key).replace(/, channel.*/, "").replace("Knob ", "CC ") : "learn";
        button.setAttribute("aria-pressed", String(isLearning));
        button.setAttribute("aria-label", isLearning ? `Move a knob for ${label}, or press again to give up` : key ? `${label} follows ${words(key)}; learn another` : `Learn a knob for ${label}`);
        button.title = button.getAttribute("aria-label");
        button.dataset.bound = key ? "1" : "";
      }
    }

    /** The list of what was learned, each with a way to remove it. */
    list() {
      return [...this.bindings].map(([key, id]) => h("li", {},
        h("span", { text: `${words(key)} moves ${this.targets.get(id)?.label || "what is not here now"}` }),
        h("button", { type: "button", class: "film-x", "aria-label": `Forget ${words(key)}`, onclick: () => this.remove(key) }, controls.icon("close"))));
    }
  }

  Object.assign(window.studio, { Midi, MidiError });
})();
