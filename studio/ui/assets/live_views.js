/* The boards of the Live tab: which one is shown, and the keys that start, keep and record on it. Knows nothing of what they do. */
(() => {
  "use strict";
  const { controls, keys } = window.studio;
  const KEPT = "studio.live.view";
  const NAMES = [["camera", "Camera"], ["walk", "Walk"], ["sound", "Sound"]];
  const boards = [];
  const choices = [];
  const kept = localStorage.getItem(KEPT);

  const liveViews = {
    current: NAMES.some(([name]) => name === kept) ? kept : "camera",

    /** Add a board: {names, block, show(name), leave(), start(), snapshot(), record()}; its block is hidden while another is shown. */
    add(board) {
      boards.push(board);
      board.block.hidden = !board.names.includes(liveViews.current);
    },

    /** The board that is shown. */
    get board() {
      return boards.find((board) => board.names.includes(liveViews.current));
    },

    show(name) {
      if (name === liveViews.current) return;
      liveViews.board?.leave();
      liveViews.current = name;
      localStorage.setItem(KEPT, name);
      choices.forEach((choice) => choice.set(name));
      boards.forEach((board) => { board.block.hidden = !board.names.includes(name); });
      liveViews.board?.show(name);
    },

    /** The choice of what is live, for the top of a board's right column. */
    choice() {
      const choice = controls.choice({ label: "What is live", options: NAMES, value: liveViews.current, help: "The camera through a style, a walk over the seed plane, or sound that moves the picture", onChange: (name) => { liveViews.show(name); document.querySelector(`#tab-live .studio-block:not([hidden]) input[value="${name}"]`)?.focus(); } });
      choices.push(choice);
      return choice;
    },
  };

  keys.register({ key: " ", shows: "Space", title: "Start or stop", tab: "live", run: () => liveViews.board.start() });
  keys.register({ key: "s", title: "Snapshot", tab: "live", run: () => liveViews.board.snapshot() });
  keys.register({ key: "v", title: "Record, or end the recording", tab: "live", run: () => liveViews.board.record() });

  Object.assign(window.studio, { liveViews });
})();
