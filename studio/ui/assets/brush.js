/* A brush for masks over a Viewer: white is restyled, black is kept. The mask is small and travels in the recipe as a PNG; what a
 * brush paints is smooth, so nothing is lost. It knows pictures and pointers, not recipes: whoever uses it is told when a stroke ends. */
(() => {
  "use strict";
  const { h, controls } = window.studio;
  const SIDE = 512;
  const MOST = 48 * 1024;

  class Brush {
    /** onStroke(text): a stroke ended; text is the mask, base64 of a PNG, or "" for everywhere. */
    constructor(viewer, onStroke) {
      this.viewer = viewer;
      this.onStroke = onStroke;
      this.size = 0.12;
      this.erases = false;
      this.isOn = false;
      this.text = "";
      this.canvas = h("canvas", { class: "studio-mask", hidden: true, "aria-hidden": "true" });
      viewer.plates[1].after(this.canvas);
      for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) viewer.frame.addEventListener(name, (event) => this.pointer(name, event), { capture: true });
    }

    turn(isOn) {
      this.isOn = isOn;
      this.viewer.frame.classList.toggle("painting", isOn);
      this.place();
    }

    /** Show a mask for a picture of a size; "" is everywhere. */
    async show(text, width, height) {
      const scale = Math.min(1, SIDE / Math.max(width, height));
      const size = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
      if (text === this.text && this.canvas.width === size[0] && this.canvas.height === size[1]) return this.place();
      this.text = text;
      [this.canvas.width, this.canvas.height] = size;
      const pen = this.canvas.getContext("2d");
      pen.fillStyle = "#000";
      pen.fillRect(0, 0, ...size);
      if (text) {
        const image = await window.studio.decode(`data:image/png;base64,${text}`);
        if (text === this.text) pen.drawImage(image, 0, 0, ...size);
      }
      return this.place();
    }

    place() {
      const { view, size, images } = this.viewer;
      this.canvas.hidden = !this.isOn || !images || !this.canvas.width;
      if (this.canvas.hidden) return;
      const scale = (Math.max(view.scale, this.viewer.fit()) * size.width) / this.canvas.width;
      this.canvas.style.transform = `translate(${view.x}px, ${view.y}px) scale(${scale})`;
      this.scale = scale;
    }

    pointer(name, event) {
      if (!this.isOn || this.canvas.hidden || (name === "pointerdown" ? event.button !== 0 || event.target.closest("button") : !this.last)) return;
      event.preventDefault();
      event.stopPropagation();
      const box = this.viewer.frame.getBoundingClientRect();
      const at = [(event.clientX - box.left - this.viewer.view.x) / this.scale, (event.clientY - box.top - this.viewer.view.y) / this.scale];
      if (name === "pointerdown") {
        this.viewer.frame.setPointerCapture(event.pointerId);
        this.last = at;
      }
      if (name === "pointerdown" || name === "pointermove") this.draw(at);
      else this.end();
    }

    draw(at) {
      const pen = this.canvas.getContext("2d");
      pen.strokeStyle = this.erases ? "#000" : "#fff";
      pen.lineWidth = this.size * Math.max(this.canvas.width, this.canvas.height);
      pen.lineCap = pen.lineJoin = "round";
      pen.beginPath();
      pen.moveTo(...this.last);
      pen.lineTo(at[0] + 0.01, at[1]);
      pen.stroke();
      this.last = at;
    }

    end() {
      this.last = null;
      let canvas = this.canvas;
      let text = canvas.toDataURL("image/png").split(",")[1];
      while (text.length > MOST) {
        const smaller = h("canvas", { width: Math.ceil(canvas.width / 2), height: Math.ceil(canvas.height / 2) });
        smaller.getContext("2d").drawImage(canvas, 0, 0, smaller.width, smaller.height);
        canvas = smaller;
        text = canvas.toDataURL("image/png").split(",")[1];
      }
      this.text = text;
      this.onStroke(text);
    }
  }

  Object.assign(window.studio, { Brush, brushControls });

  /** The controls of a brush: on, size, erase, everywhere. */
  function brushControls(brush, { help, feather, onFeather, onCommit }) {
    const isOn = controls.toggle({ label: "Brush", help, onChange: (on) => { brush.turn(on); more.hidden = !on; } });
    const size = controls.slider({ label: "Brush size", help: "how wide the brush is, as a share of the photo", low: 0.01, high: 0.5, step: 0.01, value: brush.size, reset: brush.size, onInput: (value) => { brush.size = value; }, onCommit: () => {} });
    const soft = controls.slider({ label: "Soft edge", help: feather.help, low: feather.low, high: feather.high, step: 0.01, value: feather.default, reset: feather.default, onInput: onFeather, onCommit });
    const erase = controls.toggle({ label: "Erase", help: "paints the photo back", onChange: (on) => { brush.erases = on; } });
    const everywhere = controls.button({ label: "Everywhere", help: "Forgets the mask: the style is everywhere", onClick: () => brush.onStroke("") });
    const more = h("div", { class: "studio-brush", hidden: true }, size.element, soft.element, erase.element, everywhere);
    return { elements: [isOn.element, more], set: (restyle) => { soft.set(restyle.mask_feather); everywhere.disabled = !restyle.mask; } };
  }
})();
