/* A training run on the page: its sheet of samples with a scrubber over the past, its plots, how it goes, and what can be done. */
(() => {
  "use strict";
  const { h, call, guarded, status, controls, model, tabs, emit, decode, latestWins, plot } = window.studio;
  const LIVE = ["preparing", "running"];
  const POLL_MS = 1500;

  /** The panel: {stage, side, show(name), hide()}; onChange() is called when a run begins or ends. */
  function trainRun({ server, picture, onChange }) {
    let name = null;
    let shownStep = null;
    let isPinned = false;
    let timer = 0;
    let run = null;

    // ---- stage: scrubber and plots under the picture ---------------------------------------------------------------
    const when = h("output", { class: "when" });
    const scrubber = h("input", { type: "range", min: "0", max: "0", value: "0", "aria-label": "Samples over time" });
    const latest = controls.button({ label: "Latest", kind: "quiet small", help: "Follow the newest samples", onClick: () => { isPinned = false; paint(run); } });
    const scrub = h("div", { class: "studio-scrub" }, h("div", { class: "studio-track" }, scrubber), when, latest);
    const drawn = [plot(), plot()];
    const stage = h("div", { class: "studio-run-stage", hidden: true }, scrub, h("div", { class: "studio-plots" }, drawn.map((one) => one.element)));

    scrubber.studioStep = (direction) => { scrubber.value = String(Number(scrubber.value) + direction); moved(); };
    scrubber.addEventListener("input", () => moved());
    function moved() {
      isPinned = Number(scrubber.value) < run.snapshots.length - 1;
      paint(run);
    }

    const fetchSheet = latestWins(async (step) => {
      const answer = await guarded(() => call(server, "snapshot", { name, step }));
      if (!answer || answer.step !== step || !run) return;
      await decode(answer.url);
      picture.set(answer.url, `Samples of ${name} after ${run.seen[step] || "some"} pictures`);
    });

    function paint(answer) {
      const { snapshots } = answer;
      scrub.hidden = !snapshots.length;
      scrubber.max = String(Math.max(0, snapshots.length - 1));
      if (!isPinned) scrubber.value = scrubber.max;
      const at = Number(scrubber.value);
      const share = snapshots.length > 1 ? at / (snapshots.length - 1) : 1;
      scrubber.parentElement.style.setProperty("--to", String(share));
      latest.style.visibility = isPinned ? "visible" : "hidden";
      if (!snapshots.length) {
        picture.empty("The first samples come soon", "The pictures are read and the networks built; after that the sheet renews by itself.");
        shownStep = null;
        return;
      }
      const step = snapshots[at];
      const seen = answer.seen[step];
      when.textContent = seen ? `${at + 1} of ${snapshots.length}: after ${seen} pictures` : `${at + 1} of ${snapshots.length}`;
      scrubber.setAttribute("aria-valuetext", when.textContent);
      if (step !== shownStep) fetchSheet(step);
      shownStep = step;
    }

    // ---- side: how it goes, and what can be done ---------------------------------------------------------------------
    const title = h("b", { class: "title" });
    const about = h("p", { class: "studio-quiet about" });
    const bar = h("div", { class: "studio-progress", role: "progressbar", "aria-label": "Progress of the run", "data-known": "1" }, h("i"));
    const say = h("p", { class: "say", "aria-live": "polite" });
    const goes = h("div", { class: "findings", "aria-live": "polite" });
    const numbers = h("dl", { class: "studio-run-numbers" });
    const more = controls.number({ label: "Minutes more", value: 30, low: 1, high: 100000 });
    const moreField = controls.field("Minutes more", more, "How much longer a finished run goes on");
    const stopButton = controls.button({ label: "Stop", help: "Save and stop; Continue takes it up again", onClick: () => act("stop_run") });
    const goButton = controls.button({ label: "Continue", onClick: () => act("continue_run", { minutes: Number(more.input.value) || 30 }) });
    const openButton = controls.button({ label: "Open in Explore", kind: "primary", help: "Make a model of what it has learnt so far, and play with it", onClick: () => open(false) });
    const bestButton = controls.button({ label: "Open the best", kind: "quiet", help: "The state that came nearest to the real pictures", onClick: () => open(true) });
    const folder = h("p", { class: "studio-quiet where" });
    const side = h("div", { class: "studio-run-side", hidden: true }, title, about, bar, say, goes,
      h("div", { class: "studio-run-buttons" }, stopButton, goButton, moreField, openButton, bestButton),
      h("details", { class: "studio-details" }, h("summary", { text: "Numbers" }), numbers, folder));

    function fill(answer) {
      const isLive = LIVE.includes(answer.state);
      side.dataset.state = answer.state;
      title.textContent = `${answer.title}: ${answer.name}`;
      about.textContent = answer.about;
      bar.style.setProperty("--share", String(answer.progress));
      bar.setAttribute("aria-valuenow", String(Math.round(answer.progress * 100)));
      if (say.textContent !== answer.say) say.textContent = answer.say;
      say.classList.toggle("studio-problem", answer.state === "failed");
      goes.replaceChildren(...answer.findings.map((finding) => h("p", { text: finding.words, "data-warning": finding.warning ? "1" : null })));
      stopButton.hidden = !isLive;
      stopButton.disabled = answer.is_elsewhere;
      goButton.hidden = isLive;
      moreField.hidden = answer.state !== "finished";
      openButton.hidden = bestButton.hidden = !answer.can_open;
      openButton.querySelector("span").textContent = answer.translates ? "Open in Restyle" : "Open in Explore";
      numbers.replaceChildren(...answer.numbers.map(([what, value]) => h("div", {}, h("dt", { text: what }), h("dd", { text: value }))));
      folder.textContent = `Kept in ${answer.folder}`;
      answer.plots.forEach((lines, index) => drawn[index].set(lines));
    }

    async function refresh() {
      clearTimeout(timer);
      const asked = name;
      if (asked === null) return;
      const answer = await guarded(() => call(server, "run_state", { name: asked }));
      if (name !== asked) return;
      if (answer) {
        const hadEnded = run && LIVE.includes(run.state) && !LIVE.includes(answer.state);
        run = answer;
        fill(answer);
        paint(answer);
        if (hadEnded) {
          onChange();
          status(`${answer.title}: ${answer.name}. ${answer.say}`, answer.state === "failed" ? "error" : "info");
        }
      }
      const isSeen = tabs.current() === "train" && !document.hidden;
      if (!answer || LIVE.includes(answer.state)) timer = setTimeout(refresh, isSeen ? POLL_MS : 4 * POLL_MS);
    }

    async function act(what, values = {}) {
      const answer = await guarded(() => call(server, what, { name, ...values }));
      if (!answer) return;
      status(answer.say);
      onChange();
      refresh();
    }

    async function open(best) {
      openButton.disabled = bestButton.disabled = true;
      status("Saving what it has learnt so far.");
      const answer = await guarded(() => call(server, "open_run", { name, best }));
      openButton.disabled = bestButton.disabled = false;
      if (!answer) return;
      await model.refresh();
      status(answer.say);
      if (answer.kind === "translator") {
        await tabs.show("restyle");
        emit("style", answer.name);
        return;
      }
      model.facts = null;
      await model.choose(answer.name);
      if (model.facts?.name === answer.name) await tabs.show("explore");
    }

    return {
      stage,
      side,
      name: () => name,
      refresh,
      show(next) {
        if (next !== name) [run, shownStep, isPinned] = [null, null, false];
        name = next;
        stage.hidden = side.hidden = false;
        return refresh();
      },
      hide() {
        name = null;
        run = null;
        clearTimeout(timer);
        stage.hidden = side.hidden = true;
      },
    };
  }

  Object.assign(window.studio, { trainRun });
})();
