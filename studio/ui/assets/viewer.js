/* The viewer: a picture before and after under one movable edge, both moved and enlarged in step, down to single pixels.
 * It is a Stage whose picture is two images instead of a canvas; progress line and cancel are the stage's own. */
(() => {
  "use strict";
  const { h, Stage, controls } = window.studio;
  const MOST = 16;
  const GRIP = 24;

  class Viewer extends Stage {
    constructor({ label, empty, names = ["Before", "After"] }) {
      super({ label, empty });
      this.canvas.remove();
      this.names = names;
      this.view = { scale: 0, x: 0, y: 0 };
      this.size = { width: 0, height: 0 };
      this.plates = [h("div", { class: "studio-plate" }), h("div", { class: "studio-plate" })];
      this.edgeLine = h("i", { class: "studio-edge", hidden: true });
      this.tags.forEach((tag, place) => { tag.textContent = names[place]; });
      this.frame.prepend(...this.plates, this.edgeLine);
      this.frame.classList.add("studio-viewer");
      this.frame.setAttribute("role", "group");
      this.frame.setAttribute("aria-label", label);
      this.handle.addEventListener("dblclick", (event) => event.stopPropagation());
      this.handle.classList.add("studio-edge-handle");
      this.handle.setAttribute("aria-label", "Edge between before and after");
      this.pointers = new Map();
      this.listen();
      new ResizeObserver(() => this.place()).observe(this.frame);
    }

    /** Show a pair: decoded images or films of the same size (after may be null: only the photo so far). width, height: in pixels of
     * the photo; keepsView: it is another moment of the same film. */
    pair(before, after, { width, height, words = "", isSketch = false, keepsView = false }) {
      const isNew = this.size.width !== width || this.size.height !== height || (this.source !== before && !keepsView);
      this.source = before;
      this.size = { width, height };
      this.images = [before, after];
      this.plates.forEach((plate, i) => {
        const image = this.images[i];
        if (!image) return plate.replaceChildren();
        image.alt = i ? `After: ${words}` : `Before: ${words}`;
        image.draggable = false;
        image.style.width = `${width}px`;
        image.style.height = `${height}px`;
        if (plate.firstElementChild !== image) plate.replaceChildren(image);
        return undefined;
      });
      this.empty.hidden = true;
      this.frame.dataset.frame = String((this.frames += 1));
      this.frame.dataset.quality = after ? (isSketch ? "sketch" : "full") : "";
      this.tags[1].textContent = isSketch ? `${this.names[1]}, quick look` : this.names[1];
      if (isNew) this.view.scale = 0;
      this.place();
    }

    clear() {
      this.images = null;
      this.source = null;
      this.plates.forEach((plate) => plate.replaceChildren());
      this.empty.hidden = false;
      this.frame.dataset.quality = "";
      this.place();
    }

    /** The scale at which the whole picture is seen; small pictures are not enlarged beyond four times. */
    fit() {
      const { clientWidth: w, clientHeight: t } = this.frame;
      return Math.min(w / this.size.width, t / this.size.height, 4);
    }

    place() {
      const isOn = !!this.images;
      const both = isOn && !!this.images[1];
      this.edgeLine.hidden = !both;
      this.handle.hidden = !both;
      this.tags.forEach((tag) => { tag.hidden = !both; });
      if (!isOn) return;
      const { clientWidth: w, clientHeight: t } = this.frame;
      const fit = this.fit();
      const scale = Math.max(this.view.scale, fit);
      const size = { x: this.size.width * scale, y: this.size.height * scale };
      const limit = (at, room, length) => (length <= room ? (room - length) / 2 : controls.clamp(at, room - length, 0));
      this.view.x = limit(this.view.x, w, size.x);
      this.view.y = limit(this.view.y, t, size.y);
      const { x, y } = this.view;
      this.images.forEach((image) => {
        if (!image) return;
        image.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
        image.style.imageRendering = scale * (devicePixelRatio || 1) > 2 ? "pixelated" : "auto";
      });
      const left = Math.max(0, x);
      const right = Math.min(w, x + size.x);
      const cut = left + this.edge * (right - left);
      this.span = { left, right };
      this.plates[1].style.clipPath = this.held ? "inset(0 0 0 100%)" : `inset(0 0 0 ${cut}px)`;
      Object.assign(this.edgeLine.style, { left: `${cut}px`, top: `${Math.max(0, y)}px`, height: `${Math.min(t, y + size.y) - Math.max(0, y)}px` });
      const low = Math.max(8, t - Math.min(t, y + size.y) + 8);
      this.tags.forEach((tag, i) => {
        tag.style.bottom = `${low}px`;
        tag.style[i ? "right" : "left"] = `${(i ? w - right : left) + 8}px`;
        tag.style.maxWidth = `${Math.max(0, (i ? right - cut : cut - left) - 16)}px`;
        tag.style.visibility = (i ? right - cut : cut - left) < 48 || (this.held && i) ? "hidden" : "";
      });
      this.onView?.({ scale, percent: Math.round(scale * (devicePixelRatio || 1) * 100), isFit: scale <= fit * 1.001, isPixels: Math.abs(scale * (devicePixelRatio || 1) - 1) < 0.001 });
    }

    paint() {
      this.place();
    }

    hold(isHeld) {
      this.held = isHeld && !!this.images?.[1];
      this.place();
    }

    setEdge(share) {
      this.edge = controls.clamp(share, 0, 1);
      this.handle.value = String(this.edge);
      this.place();
    }

    /** Zoom to a scale (1: one picture pixel is one CSS pixel; 0: all of it) around a point of the frame. */
    zoom(scale, at = { x: this.frame.clientWidth / 2, y: this.frame.clientHeight / 2 }) {
      if (!this.images) return;
      const fit = this.fit();
      const from = Math.max(this.view.scale, fit);
      const to = controls.clamp(scale, fit, Math.max(MOST, fit));
      this.view.x = at.x - (at.x - this.view.x) * (to / from);
      this.view.y = at.y - (at.y - this.view.y) * (to / from);
      this.view.scale = to <= fit ? 0 : to;
      this.place();
    }

    zoomBy(factor, at) {
      this.zoom(Math.max(this.view.scale, this.fit()) * factor, at);
    }

    /** One picture pixel on one pixel of the screen, or all of the picture. */
    toggleZoom(at) {
      this.zoom(this.view.scale ? 0 : Math.max(1 / (devicePixelRatio || 1), this.fit() * 2), at);
    }

    listen() {
      const spot = (event) => {
        const box = this.frame.getBoundingClientRect();
        return { x: event.clientX - box.left, y: event.clientY - box.top };
      };
      const edgeAt = () => this.span.left + this.edge * (this.span.right - this.span.left);
      const moveEdge = (x) => this.setEdge((x - this.span.left) / Math.max(1, this.span.right - this.span.left));
      this.frame.addEventListener("wheel", (event) => {
        if (!this.images) return;
        event.preventDefault();
        this.zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), spot(event));
      }, { passive: false });
      this.frame.addEventListener("dblclick", (event) => this.toggleZoom(spot(event)));
      this.frame.addEventListener("pointerdown", (event) => {
        if (!this.images || event.button !== 0 || event.target.closest("button")) return;
        event.preventDefault();
        this.handle.focus({ preventScroll: true, focusVisible: false });
        this.frame.setPointerCapture(event.pointerId);
        this.pointers.set(event.pointerId, spot(event));
        const isEdge = this.images[1] && (!this.view.scale || Math.abs(spot(event).x - edgeAt()) < GRIP);
        this.dragging = this.pointers.size > 1 ? "pinch" : isEdge ? "edge" : "pan";
        this.grip = isEdge && Math.abs(spot(event).x - edgeAt()) < GRIP ? spot(event).x - edgeAt() : 0;
        if (this.dragging === "edge" && !this.grip) this.moved = false;
      });
      this.frame.addEventListener("pointermove", (event) => {
        const last = this.pointers.get(event.pointerId);
        if (!last) return;
        const now = spot(event);
        if (this.dragging === "edge") moveEdge(now.x - this.grip);
        else if (this.dragging === "pan") {
          this.view.x += now.x - last.x;
          this.view.y += now.y - last.y;
          this.place();
        } else if (this.pointers.size === 2) {
          const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
          const span = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);
          this.zoomBy(span(now, other) / Math.max(1, span(last, other)), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
        }
        this.pointers.set(event.pointerId, now);
      });
      for (const end of ["pointerup", "pointercancel"]) this.frame.addEventListener(end, (event) => {
        this.pointers.delete(event.pointerId);
        if (!this.pointers.size) this.dragging = "";
      });
      this.handle.addEventListener("keydown", (event) => {
        const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
        if (!step || !this.view.scale || !event.shiftKey) return;
        event.preventDefault();
        this.view.x -= step[0] * 64;
        this.view.y -= step[1] * 64;
        this.place();
      });
    }
  }

  Object.assign(window.studio, { Viewer });
})();
