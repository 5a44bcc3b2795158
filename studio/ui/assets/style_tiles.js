/* Styles as picture tiles, one of them chosen: each shows the same small picture restyled. Looks like those of Restyle. */
(() => {
  "use strict";
  const { h } = window.studio;

  class StyleTiles {
    /** fetch(name) -> {url} of a tile's picture; onChoose(name). */
    constructor({ label, fetch, onChoose }) {
      Object.assign(this, { fetch, onChoose, urls: new Map(), names: [] });
      this.element = h("div", { class: "studio-styles", role: "radiogroup", "aria-label": label });
      this.element.addEventListener("keydown", (event) => this.step(event));
    }

    /** Show these models (of studio.session.models) and mark the chosen one. */
    draw(models, chosen) {
      this.names = models.map((entry) => entry.name);
      this.element.replaceChildren(...models.map((entry) => {
        const words = / to /.test(entry.summary) ? entry.summary : entry.title;
        return h("button", { type: "button", role: "radio", class: "studio-style", "data-name": entry.name, title: entry.name, onclick: () => this.choose(entry.name) }, h("img", { alt: "", hidden: true }), h("span", { text: words }));
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
      if (!way || !this.names.length) return;
      event.preventDefault();
      this.choose(this.names[(this.names.indexOf(this.chosen) + way + this.names.length) % this.names.length]);
      this.element.querySelector('[aria-checked="true"]').focus();
    }

    async fill() {
      for (const tile of [...this.element.children]) {
        const { name } = tile.dataset;
        if (!this.urls.has(name)) {
          const answer = await this.fetch(name).catch(() => null);
          if (answer?.url) this.urls.set(name, answer.url);
        }
        if (this.urls.has(name)) Object.assign(tile.querySelector("img"), { src: this.urls.get(name), hidden: false });
      }
    }
  }

  Object.assign(window.studio, { StyleTiles });
})();
