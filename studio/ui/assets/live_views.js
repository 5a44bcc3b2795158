/* The boards of the Live tab: which one is shown, and the keys that start, keep and record on it. Knows nothing of what they do. */
(() => {
  "use strict";
  const { h, call, controls, emit, guarded, keys, status } = window.studio;
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

  /** Bring a recorded film to the gallery, or where the studio keeps none to the downloads; says so in the status line. */
  async function keepFilm({ server, upload, film, recipe, side, isKept, sentence = "" }) {
    if (!isKept) {
      const url = URL.createObjectURL(film);
      h("a", { href: url, download: film.name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60000);
      status(`${sentence} ${film.name} is in your downloads.`.trim());
      return;
    }
    const answer = await guarded(async () => {
      const stored = await upload(film);
      return call(server, "keep_recording", { path: stored.path, recipe, side });
    });
    if (!answer) return;
    status(`${sentence} ${answer.say}`.trim());
    emit("gallery");
  }

  keys.register({ key: " ", shows: "Space", title: "Start or stop", tab: "live", run: () => liveViews.board.start() });
  keys.register({ key: "s", title: "Snapshot", tab: "live", run: () => liveViews.board.snapshot() });
  keys.register({ key: "v", title: "Record, or end the recording", tab: "live", run: () => liveViews.board.record() });

  Object.assign(window.studio, { liveViews, keepFilm });
})();
