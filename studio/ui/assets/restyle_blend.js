/* Several styles of one book at once: a bar of weight for each, and a pad whose corners are up to four of them. */
(() => {
  "use strict";
  const { h, controls } = window.studio;
  const MOST = 16;
  const CORNERS = 4;
  const words = (name) => name.replaceAll("-", " ");
  /** Weights of the corners (upper left, upper right, lower left, lower right) at a place of the pad. */
  const cornersAt = (x, y) => [(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y];

  class StyleBlend {
    /** wish({styles}, {isDone}) changes what is wished, commit() ends a movement. */
    constructor({ wish, commit }) {
      Object.assign(this, { wish, commit, styles: [], bars: [], names: [], shown: "" });
      this.rows = h("div", { class: "studio-blends" });
      this.add = h("select", { "aria-label": "Blend in a style", onchange: () => this.put(this.add.value) });
      this.picker = h("label", { class: "studio-control studio-pick" }, h("span", { text: "Blend in" }), this.add);
      controls.help(this.picker, "One more style of this book; a tile clicked with Shift does the same");
      this.dot = h("i");
      this.pad = h("div", { class: "studio-style-pad", role: "group", tabindex: "0", "aria-label": "Pad between the styles: arrow keys move" }, this.dot);
      controls.help(this.pad, "Drag between the corners, each is one of the first four styles");
      this.pad.addEventListener("pointerdown", (event) => this.drag(event));
      this.pad.addEventListener("keydown", (event) => this.step(event));
      this.element = h("div", { class: "studio-style-blend" }, this.rows, this.pad, this.picker);
    }

    /** Show a recipe; names: the styles of its book. */
    set({ restyle }, names) {
      this.element.hidden = names.length < 2;
      this.names = names;
      this.styles = restyle.styles.length ? restyle.styles : names.slice(0, 1).map((name) => ({ name, weight: 1 }));
      const now = JSON.stringify([names, this.styles.map((entry) => entry.name)]);
      if (now !== this.shown) this.rebuild(now);
      this.styles.forEach((entry, i) => this.bars[i]?.set(entry.weight));
      this.place();
    }

    rebuild(now) {
      this.shown = now;
      const isBlend = this.styles.length > 1;
      this.bars = isBlend ? this.styles.map((entry, i) => controls.bar({ label: words(entry.name), help: "How much of this style", value: entry.weight, onInput: (weight) => this.weigh(i, weight), onCommit: this.commit })) : [];
      this.rows.replaceChildren(...this.bars.map((bar, i) => h("div", {}, bar.element, h("button", { type: "button", "aria-label": `Take out ${words(this.styles[i].name)}`, onclick: () => this.takeOut(i) }, controls.icon("close")))));
      this.pad.hidden = !isBlend;
      this.pad.classList.toggle("line", this.styles.length === 2);
      this.pad.replaceChildren(...this.styles.slice(0, CORNERS).map((entry) => h("span", { text: words(entry.name) })), this.dot);
      const others = this.names.filter((name) => !this.styles.some((entry) => entry.name === name));
      this.add.replaceChildren(h("option", { value: "", text: "another style ..." }), ...others.map((name) => h("option", { value: name, text: words(name) })));
      this.picker.hidden = !others.length || this.styles.length >= MOST;
    }

    weigh(i, weight) {
      this.wish({ styles: this.styles.map((entry, place) => (place === i ? { ...entry, weight } : entry)) }, { isDone: false });
    }

    /** Blend a style in at the mean weight of the others, or take it out again. */
    put(name) {
      const at = this.styles.findIndex((entry) => entry.name === name);
      if (at >= 0) return this.takeOut(at);
      if (!name || this.styles.length >= MOST) return undefined;
      const weight = this.styles.reduce((sum, entry) => sum + entry.weight, 0) / this.styles.length || 0.5;
      return this.wish({ styles: [...this.styles, { name, weight: Math.round(weight * 100) / 100 }] });
    }

    takeOut(i) {
      if (this.styles.length > 1) this.wish({ styles: this.styles.filter((_, place) => place !== i) });
    }

    /** Where the weights of the corners are on the pad. */
    get at() {
      const [a, b, c, d] = [0, 1, 2, 3].map((i) => this.styles[i]?.weight || 0);
      const sum = a + b + c + d || 1;
      return [(b + d) / sum, (c + d) / sum];
    }

    place() {
      const [x, y] = this.at;
      this.dot.style.left = `${x * 100}%`;
      this.dot.style.top = this.styles.length === 2 ? "50%" : `${y * 100}%`;
    }

    go(x, y, isDone) {
      const high = this.styles.length > 2 ? controls.clamp(y, 0, 1) : 0;
      const weights = cornersAt(controls.clamp(x, 0, 1), high);
      if (this.styles.length === 3) weights[2] += weights[3];
      this.wish({ styles: this.styles.map((entry, i) => (i < CORNERS ? { ...entry, weight: Math.round(weights[i] * 1000) / 1000 } : entry)) }, { isDone });
    }

    drag(event) {
      event.preventDefault();
      this.pad.focus();
      this.pad.setPointerCapture(event.pointerId);
      const to = ({ clientX, clientY }) => {
        const box = this.pad.getBoundingClientRect();
        this.go((clientX - box.left) / box.width, (clientY - box.top) / box.height, false);
      };
      to(event);
      this.pad.onpointermove = to;
      this.pad.onpointerup = this.pad.onpointercancel = () => {
        this.pad.onpointermove = this.pad.onpointerup = this.pad.onpointercancel = null;
        this.commit();
      };
    }

    step(event) {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!way) return;
      event.preventDefault();
      const [x, y] = this.at;
      const size = event.shiftKey ? 0.01 : 0.1;
      this.go(x + way[0] * size, y + way[1] * size, true);
    }
  }

  Object.assign(window.studio, { StyleBlend });
})();
