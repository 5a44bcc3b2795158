/* The presets of the sound matrix: choosing one, and keeping the matrix as one of your own. It edits no line itself
 * (live_matrix.js). */
(() => {
  "use strict";
  const { h, call, controls, guarded, session, status } = window.studio;
  const FIRST = "lucid";

  class LivePresets {
    constructor({ server, matrix }) {
      Object.assign(this, { server, matrix });
      this.box = h("select", { class: "studio-text", "aria-label": "Preset", onchange: () => this.choose(this.box.value) });
      this.name = h("input", { type: "text", class: "studio-text", maxlength: "60", placeholder: "Name of your preset", "aria-label": "Name of your preset" });
      this.saveButton = controls.button({ label: "Save", icon: "save", help: "Keeps this matrix as a preset of your own, here and in Animate", onClick: () => this.save() });
      this.saving = h("div", { class: "studio-row sources" }, this.name, this.saveButton);
    }

    /** Offer these, and take up the one that was kept or else a first one. */
    async open(presets, kept) {
      this.fill(presets);
      if (kept) {
        this.matrix.use(kept);
        this.fill(presets);
      } else if (presets.length) await this.choose(presets.some((preset) => preset.name === FIRST) ? FIRST : presets[0].name);
    }

    fill(presets) {
      this.box.replaceChildren(h("option", { value: "", text: "Your own", disabled: true }), ...presets.map((preset) => h("option", { value: preset.name, text: preset.own ? `${preset.label} (own)` : preset.label, title: preset.help })));
      this.box.value = presets.some((preset) => preset.name === this.matrix.preset.name) ? this.matrix.preset.name : "";
    }

    async choose(wanted) {
      const answer = await guarded(() => call(this.server, "choose_preset", { name: wanted }));
      if (!answer) return;
      this.matrix.use(answer.preset);
      this.box.value = wanted;
      status(answer.say);
    }

    async save() {
      const answer = await guarded(() => call(this.server, "save_preset", { preset: this.matrix.preset, label: this.name.value.trim() || "My preset" }));
      if (!answer) return;
      this.fill(answer.presets);
      this.matrix.use(answer.preset);
      this.box.value = answer.preset.name;
      if (session.settings.public) {
        const url = URL.createObjectURL(new Blob([answer.json], { type: "application/json" }));
        h("a", { href: url, download: answer.name }).click();
        setTimeout(() => URL.revokeObjectURL(url), 60000);
      }
      status(answer.say);
    }
  }

  Object.assign(window.studio, { LivePresets });
})();
