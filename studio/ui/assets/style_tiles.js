/* Styles as picture tiles, one of them chosen: each shows the same small picture restyled. Looks like those of Restyle. */
(() => {
  "use strict";
  const { h } = window.studio;

  class StyleTiles {
    /** fetch(entry) -> {url} of a tile's picture; onChoose(key). */
    constructor({ label, fetch, onChoose }) {
      Object.assign(this, { fetch, onChoose, urls: new Map(), entries: new Map() });
      this.element = h("div", { class: "studio-styles", role: "radiogroup", "aria-label": label });
      this.element.addEventListener("keydown", (event) => this.step(event));
    }

    /** Show these entries (see styleEntries) and mark the chosen one. */
    draw(entries, chosen) {
      this.entries = new Map(entries.map((entry) => [entry.key, entry]));
      this.element.replaceChildren(...entries.map((entry) => {
        const words = window.studio.styleWords(entry);
        return h("button", { type: "button", role: "radio", class: "studio-style", "data-name": entry.key, title: entry.key, onclick: () => this.choose(entry.key) }, h("img", { alt: "", hidden: true }), h("span", { text: words }));
      }));
      this.mark(chosen);
      this.fill();
    }

    choose(name) {
      this.mark(name);
      this.onChoose(name);
    }

    mark(name) {
      this.chosen = name;
      for (const tile of this.element.children) {
        const isChosen = tile.dataset.name === name;
        tile.setAttribute("aria-checked", String(isChosen));
        tile.tabIndex = isChosen ? 0 : -1;
      }
    }

    step(event) {
      const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const keys = [...this.entries.keys()];
      if (!way || !keys.length) return;
      event.preventDefault();
      this.choose(keys[(keys.indexOf(this.chosen) + way + keys.length) % keys.length]);
      this.element.querySelector('[aria-checked="true"]').focus();
    }

    async fill() {
      for (const tile of [...this.element.children]) {
        const { name } = tile.dataset;
        if (!this.urls.has(name)) {
          const answer = await this.fetch(this.entries.get(name)).catch(() => null);
          if (answer?.url) this.urls.set(name, answer.url);
        }
        if (this.urls.has(name)) Object.assign(tile.querySelector("img"), { src: this.urls.get(name), hidden: false });
      }
    }
  }

  Object.assign(window.studio, { StyleTiles });
})();
