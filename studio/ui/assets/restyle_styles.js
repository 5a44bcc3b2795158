/* The styles of Restyle as picture tiles: each shows the same small photo restyled, made once per model. */
(() => {
  "use strict";
  const { h, tabs } = window.studio;

  /** A style in words: what it makes of what. */
  const wordsOf = (style) => style.direction || (/ to /.test(style.summary) ? style.summary : style.title);

  /** One entry for each style that can be chosen: a book of painting styles has many, any other translator is one. */
  const expand = (models) => models.flatMap((model) => (model.styles?.length > 1
    ? model.styles.map((style) => ({ ...model, style, key: `${model.name}/${style}`, title: style, direction: style.replaceAll("-", " ") }))
    : [{ ...model, style: "", key: model.name }]));

  /** Which entry a recipe means; null when it is not installed. A book without a wish paints in its first style. */
  const entryOf = (entries, { model, restyle }) => {
    const own = entries.filter((entry) => entry.name === model.name);
    return own.find((entry) => entry.style === (restyle?.styles?.[0]?.name || "")) || own[0] || null;
  };

  class StylePicker {
    /** fetch(style): the picture of a tile, {url}, or null when it was refused; onChoose(style). */
    constructor({ fetch, onChoose }) {
      Object.assign(this, { fetch, onChoose, styles: [], urls: new Map(), isFetching: false });
      this.tiles = h("div", { class: "studio-styles", role: "radiogroup", "aria-label": "Style" });
      this.none = h("p", { class: "studio-quiet", text: "None is installed yet." });
      this.direction = h("p", { class: "studio-direction" });
      this.tiles.addEventListener("keydown", (event) => this.step(event));
    }

    get elements() {
      return [this.tiles, this.none, this.direction];
    }

    draw(styles) {
      this.styles = styles;
      this.tiles.replaceChildren(...styles.map((style) => {
        const url = this.urls.get(style.key);
        return h("button", { type: "button", role: "radio", class: "studio-style", "data-name": style.key, title: style.key, onclick: () => this.onChoose(style) },
          h("img", { alt: "", src: url || null, hidden: !url }), h("span", { text: wordsOf(style) }));
      }));
      this.none.hidden = styles.length > 0;
      this.fill();
    }

    /** Fetch the pictures that are missing, one after the other, while the tab is open. */
    async fill() {
      if (this.isFetching || tabs.current() !== "restyle") return;
      this.isFetching = true;
      for (const style of this.styles) {
        if (this.urls.has(style.key)) continue;
        const answer = await this.fetch(style);
        this.urls.set(style.key, answer?.url || "");
        const image = this.tiles.querySelector(`[data-name="${CSS.escape(style.key)}"] img`);
        if (image && answer) Object.assign(image, { src: answer.url, hidden: false });
      }
      this.isFetching = false;
    }

    mark(recipe) {
      const style = entryOf(this.styles, recipe);
      const all = [...this.tiles.children];
      const chosen = all.find((tile) => tile.dataset.name === style?.key);
      for (const tile of all) {
        tile.setAttribute("aria-checked", String(tile === chosen));
        tile.tabIndex = tile === (chosen || all[0]) ? 0 : -1;
      }
      this.reveal(chosen);
      const words = () => (style.style ? `${wordsOf(style)}, of ${style.name}` : wordsOf(style) === style.title ? style.summary : `${wordsOf(style)}: ${style.title}`);
      this.direction.textContent = style ? words() : this.styles.length ? "Choose a style." : "";
      this.direction.title = this.direction.textContent;
    }

    /** Scroll the list, not the page, so far that a tile is seen. */
    reveal(tile) {
      if (!tile || tile === this.shown) return;
      this.shown = tile;
      const [list, box] = [this.tiles.getBoundingClientRect(), tile.getBoundingClientRect()];
      if (box.top < list.top || box.bottom > list.bottom) this.tiles.scrollTop += box.top - list.top - 4;
      if (box.left < list.left || box.right > list.right) this.tiles.scrollLeft += box.left - list.left - 4;
    }

    step(event) {
      const all = [...this.tiles.children];
      const across = Math.max(1, getComputedStyle(this.tiles).gridTemplateColumns.split(" ").length);
      const way = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key];
      if (!way) return;
      event.preventDefault();
      all[all.indexOf(document.activeElement) + way]?.focus();
    }
  }

  Object.assign(window.studio, { StylePicker, styleWords: wordsOf, styleEntries: expand });
})();
