/* Keyboard shortcuts and the dialog that lists them. Keys are never taken from text fields or from the browser. */
(() => {
  "use strict";
  const { h, tabs } = window.studio;
  const shortcuts = [];

  /** Add a shortcut: {key: "r", shift: false, title: "Random", tab: "explore" | undefined, run}. */
  function register(shortcut) {
    const known = shortcuts.findIndex((other) => other.key === shortcut.key && !!other.shift === !!shortcut.shift && other.tab === shortcut.tab);
    if (known >= 0) shortcuts[known] = shortcut;
    else shortcuts.push(shortcut);
  }

  const isTyping = (target) => target instanceof HTMLElement
    && (target.isContentEditable || (target.matches("input, textarea, select") && !["range", "checkbox", "radio", "button"].includes(target.type)));

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const dialog = document.querySelector("dialog[open]");
    if (isTyping(event.target) || (dialog && event.key !== "Escape")) return;
    if (event.key === " " && event.target instanceof HTMLElement && event.target.matches("button, input, [role=button], [role=tab], [role=option]")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const isLetter = /^[a-z]$/.test(key);
    const current = tabs.current();
    const match = shortcuts
      .filter((entry) => entry.key === key && (!isLetter || !!entry.shift === event.shiftKey) && (!entry.tab || entry.tab === current))
      .sort((a, b) => Number(!!b.tab) - Number(!!a.tab))[0];
    if (!match || match.run(event) === false) return;
    event.preventDefault();
  }

  function fineStep(direction) {
    const step = document.activeElement?.studioStep;
    if (!step) return false;
    step(direction, true);
    return true;
  }

  function showList() {
    const current = tabs.current();
    const rows = shortcuts
      .filter((entry) => entry.title && (!entry.tab || entry.tab === current))
      .sort((a, b) => Number(/^[a-z ]$/.test(b.key)) - Number(/^[a-z ]$/.test(a.key)))
      .map((entry) => h("div", {}, h("dt", {}, h("kbd", { text: entry.shows || (entry.shift ? `Shift ${entry.key.toUpperCase()}` : entry.key.toUpperCase()) })), h("dd", { text: entry.title })));
    const dialog = h("dialog", { class: "studio-dialog", "aria-label": "Keyboard shortcuts" },
      h("h2", { text: "Keyboard" }),
      h("dl", {}, rows),
      h("p", { text: "Double-click a control to reset it. Hold Shift while dragging for fine steps. Turn the wheel on a focused number." }),
      h("button", { type: "button", class: "studio-button", onclick: () => dialog.close() }, "Close"));
    dialog.addEventListener("close", () => dialog.remove());
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    document.body.append(dialog);
    dialog.showModal();
  }

  for (let place = 1; place <= 9; place += 1) {
    register({ key: String(place), title: place === 1 ? "Go to a tab" : "", shows: "1 – 9", run: () => {
      const tab = tabs.list()[place - 1];
      if (!tab) return false;
      tab.click();
      tab.focus();
      return true;
    } });
  }
  register({ key: "[", title: "Fine step down on the focused control", run: () => fineStep(-1) });
  register({ key: "]", title: "Fine step up on the focused control", run: () => fineStep(1) });
  register({ key: "?", title: "This list", run: showList });
  register({ key: "Escape", shows: "Esc", title: "Close or cancel", run: () => { window.studio.controls.hideHelp(); window.studio.emit("cancel"); return false; } });
  document.addEventListener("keydown", onKey);

  Object.assign(window.studio, { keys: { register, showList } });
})();
