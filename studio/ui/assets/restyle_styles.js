/* The styles of Restyle as picture tiles: each shows the photo at hand in its style, or without one the same small picture. */
(() => {
  "use strict";
  const { h, tabs } = window.studio;
  /** Tiles of a photo that are asked for at once, and photos whose tiles are kept. */
  const AT_ONCE = 4;
  const PHOTOS = 12;

  /** A style in words: what it makes of what. */
  const wordsOf = (style) => style.direction || (/ to /.test(style.summary) ? style.summary : style.title);

  /** The styles that a book has and the book that it grew out of has not. */
  const ownOf = (model, models) => {
    const source = models.find((other) => other !== model && other.styles?.length > 1 && other.styles.length < model.styles.length && other.styles.every((style) => model.styles.includes(style)));
    return source ? model.styles.filter((style) => !source.styles.includes(style)) : model.styles;
  };

  /** One entry for each style that can be chosen: a book of painting styles has many, any other translator is one. */
  const expand = (models) => models.flatMap((model) => (model.styles?.length > 1
    ? ownOf(model, models).map((style) => ({ ...model, style, key: `${model.name}/${style}`, title: style, direction: style.replaceAll("-", " ") }))
    : [{ ...model, style: "", key: model.name }]));

  /** Which entry a recipe means; null when it is not installed. A book without a wish paints in its first style. */
  const entryOf = (entries, { model, restyle }) => {
    const own = entries.filter((entry) => entry.name === model.name);
    return own.find((entry) => entry.style === (restyle?.styles?.[0]?.name || "")) || own[0] || null;
  };

  class StylePicker {
    /** fetch(style): the picture of a tile, {url}, or null when it was refused; fetchPhoto(photo, styles): pictures of a photo in some styles,
     * or null; onChoose(style, isMore): isMore adds it to those that are blended. */
    constructor({ fetch, fetchPhoto, onChoose }) {
      Object.assign(this, { fetch, fetchPhoto, onChoose, styles: [], urls: new Map(), photos: new Map(), photo: null, isFetching: false });
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
        const url = this.pictures.get(style.key);
        return h("button", { type: "button", role: "radio", class: "studio-style", "data-name": style.key, title: style.style ? `${style.key} (with Shift: blend it in)` : style.key, onclick: (event) => this.onChoose(style, event.shiftKey) },
          h("img", { alt: "", src: url || null, hidden: !url }), h("span", { text: wordsOf(style) }));
      }));
      this.none.hidden = styles.length > 0;
      this.fill();
    }

    /** The pictures of tiles by style: those of the photo at hand, else of the sample. */
    get pictures() {
      return (this.photo && this.photos.get(this.photo.tileKey)) || this.urls;
    }

    /** Show this photo (or a frame of a film) on every tile; null is the sample picture. */
    show(photo, frame = 0) {
      const tileKey = photo ? `${photo.id}/${frame}` : "";
      if (tileKey === (this.photo?.tileKey || "")) return;
      this.photo = photo ? { id: photo.id, frame, tileKey } : null;
      if (photo && !this.photos.has(tileKey)) this.photos.set(tileKey, new Map());
      while (this.photos.size > PHOTOS) this.photos.delete(this.photos.keys().next().value);
      for (const tile of this.tiles.children) this.paint(tile.dataset.name);
      this.fill();
    }

    paint(key) {
      const image = this.tiles.querySelector(`[data-name="${CSS.escape(key)}"] img`);
      const url = this.pictures.get(key) || (this.photo ? "" : this.urls.get(key));
      if (image && url) Object.assign(image, { src: url, hidden: false });
    }

    /** The styles whose pictures are missing, the ones in sight first. */
    missing() {
      const box = this.tiles.getBoundingClientRect();
      const isSeen = (style) => {
        const tile = this.tiles.querySelector(`[data-name="${CSS.escape(style.key)}"]`)?.getBoundingClientRect();
        return !!tile && tile.bottom > box.top && tile.top < box.bottom && tile.right > box.left && tile.left < box.right;
      };
      const open = this.styles.filter((style) => !this.pictures.has(style.key));
      return [...open.filter(isSeen), ...open.filter((style) => !isSeen(style))];
    }

    /** Fetch the pictures that are missing, some at a time, while the tab is open. */
    async fill() {
      if (this.isFetching || tabs.current() !== "restyle") return;
      this.isFetching = true;
      for (let open = this.missing(); open.length && tabs.current() === "restyle"; open = this.missing()) {
        const [photo, pictures] = [this.photo, this.pictures];
        const some = open.slice(0, photo ? AT_ONCE : 1);
        const answer = photo ? await this.fetchPhoto(photo, some) : { urls: [(await this.fetch(some[0]))?.url] };
        some.forEach((style, place) => pictures.set(style.key, answer?.urls[place] || ""));
        some.forEach((style) => this.paint(style.key));
      }
      this.isFetching = false;
    }

    mark(recipe) {
      const style = entryOf(this.styles, recipe);
      const blended = new Set((recipe.restyle?.styles || []).filter((entry) => entry.weight > 0).map((entry) => `${recipe.model.name}/${entry.name}`));
      const all = [...this.tiles.children];
      const chosen = all.find((tile) => tile.dataset.name === style?.key);
      for (const tile of all) {
        tile.setAttribute("aria-checked", String(tile === chosen));
        tile.classList.toggle("blended", blended.size > 1 && blended.has(tile.dataset.name));
        tile.tabIndex = tile === (chosen || all[0]) ? 0 : -1;
      }
      this.reveal(chosen);
      const words = () => (blended.size > 1 ? `A blend of ${blended.size} styles of ${style.name}` : style.style && style.style !== style.name ? `${wordsOf(style)}, of ${style.name}` : style.style ? wordsOf(style) : wordsOf(style) === style.title ? style.summary : `${wordsOf(style)}: ${style.title}`);
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
