/* The row of photos and films in Restyle: which there are, which one is looked at, which are at work. It knows nothing of what is
 * done to them. */
(() => {
  "use strict";
  const { h, controls } = window.studio;

  class PhotoRow {
    /** onSelect(photo), onAway(photo), onAdd(), onBack(): what the hand wants. */
    constructor({ onSelect, onAway, onAdd, onBack }) {
      Object.assign(this, { onSelect, onAway, photos: [], tiles: new Map() });
      this.list = h("div", { class: "studio-photos", role: "list", "aria-label": "Photos and films" });
      this.addButton = h("button", { type: "button", class: "add", "aria-label": "Add photos or films", onclick: onAdd }, controls.icon("plus"));
      this.bringBack = controls.button({ label: "Undo remove", kind: "quiet", icon: "undo", onClick: onBack });
      this.bringBack.hidden = true;
      this.list.append(this.addButton);
      this.list.addEventListener("keydown", (event) => this.step(event));
      this.element = h("div", { class: "studio-photo-line", hidden: true }, this.list, this.bringBack);
    }

    /** Show these photos; the one with the id ``at`` is looked at. Tiles that are there stay, so that focus and scroll do too. */
    draw(photos, at) {
      this.photos = photos;
      const ids = new Set(photos.map((photo) => photo.id));
      for (const [id, tile] of this.tiles) if (!ids.has(id)) { tile.element.remove(); this.tiles.delete(id); }
      photos.forEach((photo, place) => {
        if (!this.tiles.has(photo.id)) this.tiles.set(photo.id, this.tile(photo));
        const { element, image, button } = this.tiles.get(photo.id);
        if (this.list.children[place] !== element) this.list.insertBefore(element, this.list.children[place]);
        if (image.src !== photo.thumbnail) image.src = photo.thumbnail;
        button.setAttribute("aria-pressed", String(photo.id === at));
      });
      this.busy();
      this.element.hidden = !photos.length && this.bringBack.hidden;
    }

    tile(photo) {
      const image = h("img", { alt: "", draggable: false });
      const button = h("button", { type: "button", class: "picture", title: photo.name, "aria-label": photo.film ? `${photo.name}, film` : photo.name, onclick: () => this.onSelect(photo) }, image,
        photo.film ? h("span", { class: "film", "aria-hidden": "true", text: photo.film.lines[0][1].split(",")[0] }) : null);
      const element = h("div", { class: "studio-photo", role: "listitem", "data-id": photo.id }, button,
        h("button", { type: "button", class: "away", "aria-label": `Remove ${photo.name}`, onclick: () => this.onAway(photo) }, controls.icon("close")));
      return { element, image, button };
    }

    /** Mark the photos that are at work. */
    busy() {
      for (const photo of this.photos) this.tiles.get(photo.id)?.element.toggleAttribute("data-busy", !!photo.busy);
    }

    focus() {
      (this.photos.length ? this.list.querySelector("button") : this.bringBack).focus();
    }

    step(event) {
      const all = [...this.list.querySelectorAll(".picture")];
      const at = all.indexOf(event.target);
      const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (at < 0 || (!way && event.key !== "Delete")) return;
      event.preventDefault();
      if (way) all[at + way]?.focus();
      else this.onAway(this.photos[at]);
    }
  }

  Object.assign(window.studio, { PhotoRow });
})();
