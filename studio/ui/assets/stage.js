/* The stage: the picture on its canvas. The old picture stays until the new one is there; waiting shows a thin line at the
 * lower edge after 200 ms; holding compare shows the picture before; split shows two under one movable edge. */
(() => {
  "use strict";
  const { h, controls } = window.studio;
  const PATIENCE = 200;

  class Stage {
    /** label: what the canvas is called; empty: an element to show while there is no picture. */
    constructor({ label = "The picture", empty = null } = {}) {
      this.label = label;
      this.now = null;
      this.before = null;
      this.other = null;
      this.edge = 0.5;
      this.frames = 0;
      this.canvas = h("canvas", { class: "studio-canvas", role: "img", "aria-label": label, width: 4, height: 4, hidden: true });
      this.context = this.canvas.getContext("2d", { alpha: true });
      this.line = h("div", { class: "studio-progress", hidden: true, role: "progressbar", "aria-label": "Working" }, h("i"));
      this.time = h("span", { class: "studio-progress-words" });
      this.cancelButton = h("button", { type: "button", class: "studio-button quiet small", hidden: true }, "Cancel");
      this.handle = h("input", { type: "range", class: "studio-split", min: "0", max: "1", step: "0.01", value: "0.5", "aria-label": "Edge between the two pictures", hidden: true,
        oninput: () => { this.edge = Number(this.handle.value); this.paint(); } });
      this.tags = [h("span", { class: "studio-tag left", hidden: true }), h("span", { class: "studio-tag right", hidden: true })];
      this.empty = h("div", { class: "studio-empty", hidden: !empty }, empty);
      this.frame = h("div", { class: "studio-frame" }, this.canvas, this.handle, this.tags, this.empty);
      this.element = h("div", { class: "studio-picture" }, this.frame,
        h("div", { class: "studio-waiting" }, this.line, this.time, this.cancelButton));
      this.pending = new Set();
    }

    /** Show a picture (decoded image or bitmap). words: what is on it, for people who cannot see it. */
    draw(image, words = "") {
      this.now = image;
      this.frames += 1;
      this.canvas.dataset.frame = String(this.frames);
      if (words) this.canvas.setAttribute("aria-label", `${this.label}: ${words}`);
      this.canvas.hidden = false;
      this.empty.hidden = true;
      this.paint();
    }

    /** Take the present picture as the one that compare shows. */
    remember(image = this.now) {
      this.before = image;
    }

    /** Show the picture before, for as long as a button is held. */
    hold(isHeld) {
      this.held = isHeld && !!this.before;
      this.paint();
    }

    /** Two pictures under one edge: other at the left, the present one at the right; null ends it. */
    split(other, names = ["Before", "Now"]) {
      this.other = other;
      this.handle.hidden = !other;
      this.tags.forEach((tag, place) => {
        tag.hidden = !other;
        tag.textContent = names[place];
      });
      this.paint();
    }

    paint() {
      const image = this.held ? this.before : this.now;
      if (!image) return;
      const width = image.naturalWidth || image.width;
      const height = image.naturalHeight || image.height;
      if (this.canvas.width !== width || this.canvas.height !== height) {
        this.canvas.width = width;
        this.canvas.height = height;
        this.frame.style.setProperty("--ratio", String(width / height));
      }
      this.context.clearRect(0, 0, width, height);
      this.context.drawImage(image, 0, 0, width, height);
      if (!this.other || this.held) return;
      const cut = Math.round(width * this.edge);
      this.context.save();
      this.context.beginPath();
      this.context.rect(0, 0, cut, height);
      this.context.clip();
      this.context.drawImage(this.other, 0, 0, width, height);
      this.context.restore();
      this.frame.style.setProperty("--edge", String(this.edge));
    }

    /** Show the thin line while a task is at work for longer than 200 ms. Returns what the task returns. */
    async waiting(task, { cancel = null } = {}) {
      const ticket = {};
      this.pending.add(ticket);
      const timer = setTimeout(() => this.busy(true, cancel), PATIENCE);
      try {
        return await task;
      } finally {
        clearTimeout(timer);
        this.pending.delete(ticket);
        if (!this.pending.size) this.busy(false);
      }
    }

    busy(isBusy, cancel = null) {
      this.line.hidden = !isBusy;
      this.element.dataset.busy = isBusy ? "1" : "";
      this.cancelButton.hidden = !(isBusy && cancel);
      this.cancelButton.onclick = cancel;
      if (!isBusy) this.progress(null);
    }

    /** share 0..1 when it is known (null: not), words like "about 20 s left". */
    progress(share, words = "") {
      this.line.dataset.known = share === null ? "" : "1";
      this.line.style.setProperty("--share", String(share ?? 0));
      if (share === null) this.line.removeAttribute("aria-valuenow");
      else this.line.setAttribute("aria-valuenow", String(Math.round(share * 100)));
      this.time.textContent = words;
    }
  }

  /** A button that does something for as long as it is held, by hand or by key. */
  function holdButton({ label, help, icon, onHold }) {
    const button = controls.button({ label, help, icon, kind: "quiet" });
    const set = (isHeld) => {
      button.setAttribute("aria-pressed", String(isHeld));
      onHold(isHeld);
    };
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("pointerdown", (event) => {
      button.setPointerCapture(event.pointerId);
      set(true);
    });
    for (const end of ["pointerup", "pointercancel", "blur"]) button.addEventListener(end, () => set(false));
    button.addEventListener("keydown", (event) => { if ((event.key === " " || event.key === "Enter") && !event.repeat) set(true); });
    button.addEventListener("keyup", (event) => { if (event.key === " " || event.key === "Enter") set(false); });
    return button;
  }

  Object.assign(window.studio, { Stage, holdButton });
})();
