/* The seed plane: a pad with a point to drag over a coarse map of small pictures, one per whole-numbered place.
 * Click a picture to go exactly there, drag to travel between, push against the edge to go on; arrow keys step. */
(() => {
  "use strict";
  const { h, controls } = window.studio;
  const SPAN = 5;
  const LARGEST = 88;
  const EDGE = 0.1;
  const KEPT = 400;
  const ROW = 100;

  const tones = (element) => {
    const style = getComputedStyle(element);
    return { accent: style.getPropertyValue("--accent").trim(), text: style.getPropertyValue("--quiet").trim(), line: style.getPropertyValue("--line").trim(), ground: style.getPropertyValue("--ground").trim() };
  };

  class Plane {
    /** onMove({x, y}) while it moves, onDone() when it rests, fetchCells(places, key) -> [image]; help: one line. */
    constructor({ onMove, onDone, fetchCells, help }) {
      Object.assign(this, { onMove, onDone, fetchCells, x: 0, y: 0, centre: { x: 0, y: 0 }, cells: new Map(), key: "", locked: false, cost: 20 });
      this.canvas = h("canvas", { "aria-hidden": "true" });
      this.context = this.canvas.getContext("2d");
      this.element = h("div", { class: "studio-plane", tabindex: "0", role: "slider", "aria-label": "Place on the seed plane", "aria-roledescription": "two-dimensional slider", "aria-valuemin": String(-(2 ** 32)), "aria-valuemax": String(2 ** 32) }, this.canvas);
      controls.help(this.element, help);
      this.element.studioStep = (direction, isFine) => this.step(direction * (isFine ? 0.01 : 0.1), 0);
      this.listen();
      new ResizeObserver(() => this.resize()).observe(this.element);
    }

    listen() {
      this.element.addEventListener("pointerdown", (event) => this.press(event));
      this.element.addEventListener("pointermove", (event) => this.drag(event));
      this.element.addEventListener("pointerup", (event) => this.release(event));
      this.element.addEventListener("pointercancel", (event) => this.release(event));
      this.element.addEventListener("dblclick", () => this.go(Math.round(this.x), Math.round(this.y), true));
      this.element.addEventListener("keydown", (event) => {
        const size = event.shiftKey ? 0.01 : 0.1;
        const move = { ArrowLeft: [-size, 0], ArrowRight: [size, 0], ArrowUp: [0, -size], ArrowDown: [0, size], PageUp: [0, -1], PageDown: [0, 1] }[event.key];
        if (move) this.step(...move);
        else if (event.key === "Home") this.go(Math.round(this.x), Math.round(this.y), true);
        else return;
        event.preventDefault();
      });
      window.studio.on("theme", () => this.paint());
    }

    /** Pixels between two whole-numbered places. */
    get unit() {
      return Math.min(this.width / SPAN, LARGEST);
    }

    /** How far the map reaches from its centre, in places. */
    get reach() {
      return { x: this.width / this.unit / 2 || 1, y: this.height / this.unit / 2 || 1 };
    }

    resize() {
      const box = this.element.getBoundingClientRect();
      if (!box.width) return;
      const density = Math.min(devicePixelRatio || 1, 2);
      this.width = box.width;
      this.height = box.height;
      this.canvas.width = Math.round(box.width * density);
      this.canvas.height = Math.round(box.height * density);
      this.context.setTransform(density, 0, 0, density, 0, 0);
      this.paint();
      this.fillSoon();
    }

    /** Put the point somewhere without telling anyone (the recipe changed elsewhere). */
    set(x, y) {
      this.x = x;
      this.y = y;
      const { reach } = this;
      if (!this.held && (Math.abs(x - this.centre.x) > reach.x - 0.4 || Math.abs(y - this.centre.y) > reach.y - 0.4)) this.centre = { x: Math.round(x), y: Math.round(y) };
      this.element.setAttribute("aria-valuenow", String(Number(x.toFixed(2))));
      this.element.setAttribute("aria-valuetext", `x ${x.toFixed(2)}, row ${y.toFixed(2)}`);
      this.paint();
      this.fillSoon();
    }

    /** Say what the small pictures depend on besides their place; they are drawn anew, one by one, when it changes. */
    depend(key) {
      if (key === this.key) return;
      this.key = key;
      this.fillSoon();
    }

    forget() {
      this.cells.clear();
      this.paint();
    }

    go(x, y, isDone) {
      if (this.locked) return;
      this.set(x, y);
      this.onMove({ x, y });
      if (isDone) this.onDone();
    }

    step(dx, dy) {
      const tidy = (value) => Number(value.toFixed(4));
      this.go(tidy(this.x + dx), tidy(this.y + dy));
      clearTimeout(this.resting);
      this.resting = setTimeout(() => this.onDone(), 350);
    }

    at(event) {
      const box = this.element.getBoundingClientRect();
      return {
        x: this.centre.x + (event.clientX - box.left - this.width / 2) / this.unit,
        y: this.centre.y + (event.clientY - box.top - this.height / 2) / this.unit,
      };
    }

    press(event) {
      if (event.button !== 0 || this.locked) return;
      event.preventDefault();
      this.element.focus({ preventScroll: true });
      this.element.setPointerCapture(event.pointerId);
      this.held = { from: this.at(event), pointer: this.at(event), start: { x: event.clientX, y: event.clientY }, hasMoved: false, event };
    }

    drag(event) {
      const { held } = this;
      if (!held) return;
      held.event = event;
      if (!held.hasMoved && Math.hypot(event.clientX - held.start.x, event.clientY - held.start.y) < 4) return;
      if (!held.hasMoved) this.travel();
      held.hasMoved = true;
      this.follow(event);
    }

    follow(event) {
      const { held } = this;
      const now = this.at(event);
      if (event.shiftKey) this.go(this.x + (now.x - held.pointer.x) / 10, this.y + (now.y - held.pointer.y) / 10);
      else this.go(now.x, now.y);
      held.pointer = now;
    }

    /** While the hand pushes against an edge, the map goes by under it. */
    travel() {
      const { held } = this;
      const glide = () => {
        if (this.held !== held) return;
        const box = this.element.getBoundingClientRect();
        const push = (share) => (share < EDGE ? Math.max(share - EDGE, -EDGE) : share > 1 - EDGE ? Math.min(share - 1 + EDGE, EDGE) : 0) / EDGE;
        const dx = push((held.event.clientX - box.left) / box.width) * 0.045;
        const dy = push((held.event.clientY - box.top) / box.height) * 0.045;
        if ((dx || dy) && !held.event.shiftKey) {
          this.centre = { x: this.centre.x + dx, y: this.centre.y + dy };
          this.follow(held.event);
        }
        requestAnimationFrame(glide);
      };
      requestAnimationFrame(glide);
    }

    release(event) {
      const { held } = this;
      if (!held) return;
      this.held = null;
      if (event.type === "pointerup" && !held.hasMoved) this.go(Math.round(held.from.x), Math.round(held.from.y));
      this.onDone();
      this.fillSoon();
    }

    // ---- the map of small pictures -----------------------------------------------------------------------------
    visible() {
      if (!this.width) return [];
      const { reach } = this;
      const across = Math.ceil(reach.x);
      const down = Math.ceil(reach.y);
      const places = [];
      for (let y = Math.round(this.centre.y) - down; y <= Math.round(this.centre.y) + down; y += 1) {
        for (let x = Math.round(this.centre.x) - across; x <= Math.round(this.centre.x) + across; x += 1) {
          if (Math.abs(x - this.centre.x) < reach.x + 0.5 && Math.abs(y - this.centre.y) < reach.y + 0.5) places.push([x, y]);
        }
      }
      const far = ([x, y]) => Math.hypot(x - this.x, y - this.y);
      return places.sort((a, b) => far(a) - far(b));
    }

    fillSoon() {
      clearTimeout(this.filling);
      this.filling = setTimeout(() => this.fill(), 350 + this.cost);
    }

    /** Fetch what is missing in view, nearest first, a few at a time, and only while the hand rests. */
    async fill() {
      if (this.isFilling || this.held || !this.key || document.hidden || !this.element.offsetParent) return;
      this.isFilling = true;
      const { key } = this;
      try {
        while (!this.held && key === this.key) {
          const missing = this.visible().filter((place) => this.cells.get(place.join())?.key !== key);
          const most = this.cost > 400 ? 9 : Infinity;
          const known = this.visible().length - missing.length;
          if (!missing.length || known >= most) return;
          const places = missing.slice(0, this.cost < 40 ? 4 : 1);
          const began = performance.now();
          const images = await this.fetchCells(places, key);
          if (!images) return;
          this.cost = (performance.now() - began) / places.length;
          places.forEach((place, i) => this.cells.set(place.join(), { image: images[i], key }));
          while (this.cells.size > KEPT) this.cells.delete(this.cells.keys().next().value);
          this.paint();
          await new Promise((resolve) => setTimeout(resolve, Math.min(this.cost, 500)));
        }
      } finally {
        this.isFilling = false;
        if (key !== this.key) this.fillSoon();
      }
    }

    paint() {
      cancelAnimationFrame(this.painting);
      this.painting = requestAnimationFrame(() => this.paintNow());
    }

    paintNow() {
      if (!this.width) return;
      const { context, unit } = this;
      const tone = tones(this.element);
      context.clearRect(0, 0, this.width, this.height);
      context.font = "12px 'IBM Plex Sans', system-ui, sans-serif";
      context.textAlign = "center";
      context.textBaseline = "middle";
      for (const [x, y] of this.visible()) {
        const left = (x - this.centre.x) * unit + this.width / 2 - unit / 2 + 1.5;
        const top = (y - this.centre.y) * unit + this.height / 2 - unit / 2 + 1.5;
        const cell = this.cells.get(`${x},${y}`);
        if (cell) context.drawImage(cell.image, left, top, unit - 3, unit - 3);
        else {
          context.fillStyle = tone.line;
          context.globalAlpha = 0.35;
          context.fillRect(left, top, unit - 3, unit - 3);
          context.globalAlpha = 1;
          context.fillStyle = tone.text;
          context.fillText(String(x + ROW * y), left + unit / 2 - 1.5, top + unit / 2 - 1.5);
        }
      }
      const px = (this.x - this.centre.x) * unit + this.width / 2;
      const py = (this.y - this.centre.y) * unit + this.height / 2;
      for (const [radius, width, colour] of [[10, 5, "rgba(0,0,0,.65)"], [10, 2.5, this.locked ? "#e8e6e1" : tone.accent]]) {
        context.beginPath();
        context.arc(px, py, radius, 0, 2 * Math.PI);
        context.lineWidth = width;
        context.strokeStyle = colour;
        context.stroke();
      }
      context.beginPath();
      context.arc(px, py, 2, 0, 2 * Math.PI);
      context.fillStyle = "#ffffff";
      context.fill();
    }
  }

  Object.assign(window.studio, { Plane });
})();
