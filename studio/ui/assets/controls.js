/* Controls that every tab uses: label above, value at the right to type in, help on hover and focus,
 * double-click resets, shift-drag and [ ] are fine steps, the wheel turns a focused number. */
(() => {
  "use strict";
  const { h } = window.studio;
  let serial = 0;
  const nextId = (name) => `studio-${name}-${(serial += 1)}`;

  const clamp = (value, low, high) => Math.min(Math.max(value, low ?? -Infinity), high ?? Infinity);
  const decimalsOf = (step) => (String(step).split(".")[1] || "").length;
  const rounded = (value, step) => Number((Math.round(value / step) * step).toFixed(decimalsOf(step) + 1));

  // ---- help: one floating line near the control, also read by screen readers -----------------------------------
  let bubble = null;
  let waiting = 0;

  function showHelp(anchor, text) {
    bubble ||= document.body.appendChild(h("div", { class: "studio-help", "aria-hidden": "true" }));
    bubble.textContent = text;
    const box = anchor.getBoundingClientRect();
    const width = Math.min(304, innerWidth - 16);
    bubble.style.width = "max-content";
    bubble.style.maxWidth = `${width}px`;
    bubble.dataset.shown = "1";
    const size = bubble.getBoundingClientRect();
    const isRoomLeft = box.left - size.width - 16 > 0 && innerWidth > 900;
    const left = isRoomLeft ? box.left - size.width - 12 : clamp(box.left, 8, innerWidth - size.width - 8);
    const below = box.bottom + 6 + size.height < innerHeight ? box.bottom + 6 : box.top - size.height - 6;
    bubble.style.left = `${left}px`;
    bubble.style.top = `${isRoomLeft ? clamp(box.top, 8, innerHeight - size.height - 8) : below}px`;
  }

  function hideHelp() {
    clearTimeout(waiting);
    if (bubble) delete bubble.dataset.shown;
  }

  /** Give an element its one-line help; inputs inside it are described by it. */
  function help(element, text) {
    if (!text) return element;
    const note = h("span", { class: "sr-only", id: nextId("help"), text });
    if (!["INPUT", "BUTTON", "SELECT", "CANVAS"].includes(element.tagName)) {
      element.append(note);
      element.querySelectorAll("input, button, select").forEach((field) => field.setAttribute("aria-describedby", note.id));
    } else {
      element.setAttribute("aria-description", text);
    }
    element.addEventListener("pointerenter", (event) => {
      if (event.pointerType === "touch") return;
      clearTimeout(waiting);
      waiting = setTimeout(() => showHelp(element, text), 450);
    });
    element.addEventListener("pointerleave", hideHelp);
    element.addEventListener("pointerdown", hideHelp);
    element.addEventListener("focusin", (event) => {
      if (event.target.matches(":focus-visible") && event.target.type !== "number") showHelp(element, text);
    });
    element.addEventListener("focusout", hideHelp);
    return element;
  }

  // ---- number boxes --------------------------------------------------------------------------------------------
  /** A number to type in. on.input while it changes, on.commit when it is done. */
  function number({ label, value, low, high, step = 1, fine = step, onInput, onCommit, hidden = false }) {
    const input = h("input", { type: "number", class: "studio-number", inputmode: "decimal", "aria-label": label, step: "any" });
    let isTyping = false;
    const show = (next) => { if (!isTyping) input.value = String(Number(Number(next).toFixed(Math.max(decimalsOf(step), decimalsOf(fine))))); };
    const send = (next) => {
      const allowed = clamp(next, low, high);
      show(allowed);
      onInput?.(allowed);
    };
    input.studioStep = (direction, isFine) => {
      send(Number(input.value) + direction * (isFine ? fine : step));
      later();
    };
    let timer = 0;
    const later = () => {
      clearTimeout(timer);
      timer = setTimeout(() => onCommit?.(), 350);
    };
    input.addEventListener("input", () => {
      if (input.value === "" || !Number.isFinite(input.valueAsNumber)) return;
      isTyping = true;
      onInput?.(clamp(input.valueAsNumber, low, high));
      isTyping = false;
    });
    input.addEventListener("change", () => {
      show(clamp(Number.isFinite(input.valueAsNumber) ? input.valueAsNumber : 0, low, high));
      onCommit?.();
    });
    input.addEventListener("wheel", (event) => {
      if (document.activeElement !== input) return;
      event.preventDefault();
      input.studioStep(event.deltaY < 0 ? 1 : -1, event.shiftKey);
    }, { passive: false });
    input.addEventListener("keydown", (event) => {
      if (event.key === "ArrowUp" || event.key === "ArrowDown") {
        event.preventDefault();
        input.studioStep(event.key === "ArrowUp" ? 1 : -1, event.shiftKey);
      } else if (event.key === "Enter" || event.key === "Escape") {
        input.blur();
        event.stopPropagation();
      }
    });
    show(value ?? 0);
    if (hidden) input.classList.add("sr-only");
    return { input, show };
  }

  /** A number box (of number()) with its label above. */
  const field = (label, box, text) => help(h("label", { class: "studio-field" }, h("span", { text: label }), box.input), text);

  // ---- sliders -------------------------------------------------------------------------------------------------
  /** Make a range input follow the hand: shift is ten times finer, double-click resets, [ ] step finely. */
  function handleRange(range, { low, high, step, fine, vertical = false, reset, send, done }) {
    let from = null;
    range.studioStep = (direction, isFine = true) => {
      send(clamp(rounded(Number(range.value) + direction * (isFine ? fine : step), fine), low, high));
      later();
    };
    let timer = 0;
    const later = () => {
      clearTimeout(timer);
      timer = setTimeout(done, 350);
    };
    const at = (event) => {
      const box = range.getBoundingClientRect();
      const knob = 16;
      const share = vertical
        ? 1 - (event.clientY - box.top - knob / 2) / (box.height - knob)
        : (event.clientX - box.left - knob / 2) / (box.width - knob);
      return low + share * (high - low);
    };
    range.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      range.focus({ preventScroll: true });
      range.setPointerCapture(event.pointerId);
      from = { pointer: at(event), value: Number(range.value) };
      if (!event.shiftKey) {
        from.value = clamp(at(event), low, high);
        send(clamp(rounded(from.value, step), low, high));
      }
    });
    range.addEventListener("pointermove", (event) => {
      if (!from) return;
      const moved = at(event) - from.pointer;
      from.pointer = at(event);
      from.value += event.shiftKey ? moved / 10 : moved;
      send(clamp(rounded(from.value, event.shiftKey ? fine : step), low, high));
    });
    const release = () => {
      if (!from) return;
      from = null;
      done();
    };
    range.addEventListener("pointerup", release);
    range.addEventListener("pointercancel", release);
    range.addEventListener("dblclick", () => {
      send(reset());
      done();
    });
    range.addEventListener("input", () => send(Number(range.value)));
    range.addEventListener("change", later);
    range.addEventListener("wheel", (event) => {
      if (document.activeElement !== range) return;
      event.preventDefault();
      range.studioStep(event.deltaY < 0 ? 1 : -1, event.shiftKey);
    }, { passive: false });
  }

  const fillOf = (value, low, high, center) => {
    const share = (x) => (clamp(x, low, high) - low) / (high - low);
    const ends = [share(value), share(center ?? low)].sort((a, b) => a - b);
    return { from: String(ends[0]), to: String(ends[1]), at: String(share(value)) };
  };

  /** A slider with its number. center is marked and is where the fill starts; returns {element, set, enable}. */
  function slider({ label, help: text, low, high, step = 0.01, fine = step / 10, value, reset, center, marks = [], onInput, onCommit }) {
    const id = nextId("slider");
    const range = h("input", { type: "range", id, min: String(low), max: String(high), step: "any", "aria-label": label });
    const send = (next) => {
      set(next);
      onInput(next);
    };
    const box = number({ label: `${label}, as a number`, value, low, high, step, fine, onInput: send, onCommit });
    const track = h("div", { class: "studio-track" }, range,
      center === undefined ? null : h("i", { class: "studio-center", style: `--at:${fillOf(center, low, high).at}` }),
      marks.map((mark) => h("i", { class: "studio-center faint", style: `--at:${fillOf(mark, low, high).at}` })));
    function set(next) {
      range.value = String(next);
      box.show(next);
      const fill = fillOf(next, low, high, center);
      track.style.setProperty("--from", fill.from);
      track.style.setProperty("--to", fill.to);
      track.style.setProperty("--at", fill.at);
    }
    handleRange(range, { low, high, step, fine, reset: () => reset ?? center ?? low, send, done: () => onCommit?.() });
    const element = h("div", { class: "studio-control" }, h("label", { for: id }, label), box.input, track);
    set(value ?? reset ?? low);
    help(element, text);
    const enable = (isOn) => {
      element.classList.toggle("off", !isOn);
      range.disabled = !isOn;
      box.input.disabled = !isOn;
    };
    return { element, set, enable, range };
  }

  /** A flat bar with its name inside, for long lists of shares (class weights). Returns {element, set}. */
  function bar({ label, help: text, low = 0, high = 1, step = 0.01, value = 0, onInput, onCommit, format = (x) => `${Math.round(x * 100)}%` }) {
    const range = h("input", { type: "range", min: String(low), max: String(high), step: "any", "aria-label": label });
    const shown = h("span", { class: "studio-bar-value" });
    const element = h("div", { class: "studio-bar" }, range, h("span", { class: "studio-bar-name", text: label }), shown);
    const set = (next) => {
      range.value = String(next);
      shown.textContent = next > 0.0005 ? format(next) : "";
      element.style.setProperty("--at", fillOf(next, low, high).at);
    };
    const send = (next) => {
      set(next);
      onInput(next);
    };
    handleRange(range, { low, high, step, fine: step / 10, reset: () => low, send, done: () => onCommit?.() });
    set(value);
    help(element, text);
    return { element, set };
  }

  /** A small vertical fader, coloured by group. Returns {element, set, range}. */
  function fader({ label, short, group = "", low = 0, high = 1, step = 0.01, value = 0, reset = 0, onInput, onCommit, help: text }) {
    const range = h("input", { type: "range", min: String(low), max: String(high), step: "any", "aria-label": label, "aria-orientation": "vertical" });
    const element = h("div", { class: "studio-fader", "data-group": group }, h("div", { class: "studio-fader-track" }, range), h("span", { text: short ?? label }));
    const set = (next) => {
      range.value = String(next);
      element.style.setProperty("--at", fillOf(next, low, high).at);
    };
    const send = (next) => {
      set(next);
      onInput(next);
    };
    handleRange(range, { low, high, step, fine: step / 10, vertical: true, reset: () => reset, send, done: () => onCommit?.() });
    set(value);
    help(element, text);
    return { element, set, range };
  }

  // ---- choices -------------------------------------------------------------------------------------------------
  /** A row of exclusive choices (radio buttons that look like one segmented bar). Returns {element, set}. */
  function choice({ label, help: text, options, value, onChange, isLabelHidden = false }) {
    const name = nextId("choice");
    const inputs = new Map();
    const parts = options.map(([key, title]) => {
      const input = h("input", { type: "radio", name, value: key, checked: key === value, onchange: () => onChange(key) });
      inputs.set(key, input);
      return h("label", {}, input, h("span", { text: title }));
    });
    const element = h("fieldset", { class: "studio-control studio-choice" }, h("legend", { text: label, class: isLabelHidden ? "sr-only" : null }), h("div", { class: "studio-segments" }, parts));
    help(element, text);
    return { element, set: (key) => inputs.forEach((input, value) => { input.checked = value === key; }) };
  }

  /** On or off. Returns {element, set}. */
  function toggle({ label, help: text, value = false, onChange }) {
    const input = h("input", { type: "checkbox", role: "switch", checked: value, onchange: () => onChange(input.checked) });
    const element = h("label", { class: "studio-toggle" }, input, h("i"), h("span", { text: label }));
    help(element, text);
    return { element, set: (isOn) => { input.checked = isOn; } };
  }

  /** A button. kind: "" | "primary" | "quiet"; icon: a name of icons. */
  function button({ label, help: text, kind = "", icon: shape, key, onClick, iconOnly = false }) {
    const element = h("button", { type: "button", class: `studio-button ${kind}`, "aria-label": iconOnly ? label : null, onclick: onClick },
      shape ? icon(shape) : null, iconOnly ? null : h("span", { text: label }));
    if (key) element.setAttribute("aria-keyshortcuts", key);
    help(element, key ? `${text || label} (${key})` : text || (iconOnly ? label : ""));
    return element;
  }

  const SHAPES = {
    undo: "M7 4 3 8l4 4M3 8h9a5 5 0 0 1 0 10H8",
    redo: "m13 4 4 4-4 4M17 8H8a5 5 0 0 0 0 10h4",
    dice: "M4 4h12v12H4zM7.5 7.5h.01M12.500 12.500h.01M12.500 7.500h.01M7.500 12.500h.01",
    lock: "M5 9h10v8H5zM7 9V6a3 3 0 0 1 6 0v3",
    save: "M10 3v9m-4-4 4 4 4-4M4 16h12",
    compare: "M10 3v14M3 5h7v10H3M10 5h7v10h-7",
    crisp: "M3 17L10 3l7 14zM6.500 10h7",
    eye: "M2 10s3-5 8-5 8 5 8 5-3 5-8 5-8-5-8-5zM10 8a2 2 0 1 0 0 4 2 2 0 0 0 0-4z",
    star: "m10 3 2.200 4.600 5 .7-3.600 3.500.9 5-4.500-2.400-4.500 2.400.9-5L2.800 8.300l5-.7z",
    theme: "M10 3a7 7 0 1 0 0 14zM10 3a7 7 0 0 1 0 14",
    help: "M7.500 7.500a2.500 2.500 0 1 1 3.500 2.300c-.7.3-1 .8-1 1.700M10 14.500h.01",
    close: "m5 5 10 10M15 5 5 15",
    down: "m5 8 5 5 5-5",
    left: "m12 5-5 5 5 5",
    right: "m8 5 5 5-5 5",
    plus: "M10 4v12M4 10h12",
    minus: "M4 10h12",
    grid: "M4 4h5v5H4zM11 4h5v5h-5zM4 11h5v5H4zM11 11h5v5h-5z",
    reset: "M4 4v4h4M4.500 8a6 6 0 1 1-.5 4",
    download: "M10 3v9m-4-4 4 4 4-4M4 16h12",
    trash: "M4 6h12M8 6V4h4v2M6 6l1 11h6l1-11",
    search: "M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4zm4 9 4 4",
    upload: "M10 13V4M6 8l4-4 4 4M4 16h12",
  };

  /** A line icon by name, 20 units square, in the colour of the text. */
  function icon(name) {
    const path = h("path", { d: SHAPES[name], fill: "none", stroke: "currentColor", "stroke-width": "1.5", "stroke-linecap": "round", "stroke-linejoin": "round" });
    return h("svg", { viewBox: "0 0 20 20", width: "18", height: "18", "aria-hidden": "true", class: "studio-icon" }, path);
  }

  /** A titled group of controls in the right column. Returns the section; append controls to it. */
  function group(title, ...children) {
    const id = nextId("group");
    return h("section", { class: "studio-group", "aria-labelledby": id }, h("h2", { id, text: title }), children);
  }

  Object.assign(window.studio, { controls: { slider, number, field, bar, fader, choice, toggle, button, icon, group, help, hideHelp, nextId, clamp } });
})();
