/* Files dropped anywhere on the page find their tab; a stray drop never leaves the page.
 * A tab registers what it takes; the first that accepts, by order, gets the files. */
(() => {
  "use strict";
  const { h, emit, status, tabs } = window.studio;
  const routes = [];
  const STRIP_TYPE = "application/x-studio-picture";

  /** Add a route: {name, order, accepts(file) -> boolean or a promise of one, say: "what happens when dropped", handle(files, {x, y})}. */
  function register(route) {
    const known = routes.findIndex((other) => other.name === route.name);
    if (known >= 0) routes.splice(known, 1);
    routes.push(route);
    routes.sort((a, b) => (a.order ?? 50) - (b.order ?? 50));
  }

  /** Send files to their tabs, as if they had been dropped (for file buttons and paste). */
  async function deliver(files, point = {}) {
    const lots = new Map();
    const routeOf = async (file) => {
      for (const entry of routes) if (await entry.accepts(file)) return entry;
      return null;
    };
    for (const file of files) {
      let route = await routeOf(file);
      if (!route && isModel(file) && tabs.has("models")) {
        await tabs.show("models");
        route = await routeOf(file);
      }
      if (!route) {
        status(`${file.name}: the studio opens pictures, films, sounds and model files.`, "error");
        continue;
      }
      lots.set(route, [...(lots.get(route) || []), file]);
    }
    for (const [route, lot] of lots) await window.studio.guarded(() => route.handle(lot, point));
  }

  const isImage = (file) => file.type.startsWith("image/") || /\.(png|jpe?g|webp|tiff?|bmp|gif|avif)$/i.test(file.name);
  const isFilm = (file) => !/^(audio|image)\//.test(file.type) && (/^video\//.test(file.type) || /\.(mp4|m4v|mov|mkv|webm|avi|mpe?g|wmv|flv|ogv|3gp|m?ts|m2ts)$/i.test(file.name));
  const isModel = (file) => /\.(pkl|pickle|pt|pth|ckpt|safetensors|onnx|bin|tar|zip)$/i.test(file.name);

  let depth = 0;
  let veil = null;
  const hasFiles = (event) => [...(event.dataTransfer?.types || [])].includes("Files");

  function lift(isOn) {
    veil ||= document.body.appendChild(h("div", { class: "studio-veil", "aria-hidden": "true" }, h("p", { text: "Drop a picture or film to open it, a sound to hear it, a model file to import it" })));
    veil.dataset.shown = isOn ? "1" : "";
  }

  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    lift(true);
  });
  addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    if (depth === 0) lift(false);
  });
  addEventListener("dragover", (event) => {
    if (!hasFiles(event) && event.defaultPrevented) return;
    event.preventDefault();
    if (event.dataTransfer) event.dataTransfer.dropEffect = hasFiles(event) ? "copy" : "none";
  });
  addEventListener("drop", (event) => {
    depth = 0;
    if (veil) lift(false);
    const wasHandled = event.defaultPrevented;
    event.preventDefault();
    if (wasHandled || !hasFiles(event)) return;
    const point = { x: event.clientX, y: event.clientY };
    if (hasFolder(event.dataTransfer)) deliverFolder(window.studio.dropped(event.dataTransfer), point);
    else deliver([...event.dataTransfer.files], point);
  }, false);

  const hasFolder = (transfer) => [...transfer.items].some((item) => item.kind === "file" && item.webkitGetAsEntry?.()?.isDirectory);

  /** Of a folder, the pictures and films in it and below it, in the order of their names; whatever else lies there is no mistake. */
  async function deliverFolder(found, point) {
    const byPath = (a, b) => a.path.localeCompare(b.path, undefined, { numeric: true });
    const files = (await found).sort(byPath).map((entry) => entry.file).filter((file) => !file.name.startsWith(".") && (isImage(file) || isFilm(file)));
    if (files.length) await deliver(files, point);
    else status("There is no picture and no film in this folder.", "error");
  }

  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files || [])];
    if (!files.length) return;
    event.preventDefault();
    deliver(files);
  });

  /** Let an element take pictures dragged from the strip or a gallery: take(element, ({recipe, url}) => ...). */
  function take(element, handle) {
    element.addEventListener("dragover", (event) => {
      if (!event.dataTransfer.types.includes(STRIP_TYPE)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      element.dataset.over = "1";
    });
    element.addEventListener("dragleave", () => delete element.dataset.over);
    element.addEventListener("drop", (event) => {
      delete element.dataset.over;
      const text = event.dataTransfer.getData(STRIP_TYPE);
      if (!text) return;
      event.preventDefault();
      event.stopPropagation();
      handle(JSON.parse(text));
    });
  }

  /** Let an element be dragged: give(element, () => ({recipe, url})). */
  function give(element, describe) {
    element.draggable = true;
    element.addEventListener("dragstart", (event) => {
      event.dataTransfer.setData(STRIP_TYPE, JSON.stringify(describe()));
      event.dataTransfer.effectAllowed = "copy";
      emit("dragging", true);
    });
    element.addEventListener("dragend", () => emit("dragging", false));
  }

  /** Where photos go (pictures that are not ours): the Restyle tab sets both. */
  const photos = { handle: null, reopen: null };

  Object.assign(window.studio, { photos, drops: { register, deliver, isImage, isFilm, isModel, take, give, STRIP_TYPE } });
})();
