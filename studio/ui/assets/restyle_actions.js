/* The buttons under the picture of Restyle, and their keys: undo, compare, zoom, save. It says what the hand wants and does none of it,
 * save for what the viewer does by itself. */
(() => {
  "use strict";
  const { h, controls, holdButton, keys } = window.studio;
  const SAVE = { kind: "primary", key: "S" };
  const ZOOM = 1.5;

  class RestyleActions {
    /** onUndo, onRedo, onSave (the photo or film at hand), onSaveAll, onPlay (false where no finished film is shown). */
    constructor({ viewer, onUndo, onRedo, onSave, onSaveAll, onPlay }) {
      this.undoButton = controls.button({ label: "Undo", icon: "undo", iconOnly: true, kind: "quiet", key: "Z", onClick: onUndo });
      this.redoButton = controls.button({ label: "Redo", icon: "redo", iconOnly: true, kind: "quiet", key: "Shift+Z", onClick: onRedo });
      this.compareButton = holdButton({ label: "Hold to compare", help: "Shows the photo alone for as long as it is held", icon: "eye", onHold: (isHeld) => viewer.hold(isHeld) });
      this.zoomOut = controls.button({ label: "Smaller", kind: "quiet zoom", icon: "minus", iconOnly: true, key: "-", onClick: () => viewer.zoomBy(1 / ZOOM) });
      this.zoomIn = controls.button({ label: "Larger", kind: "quiet zoom", icon: "plus", iconOnly: true, key: "+", onClick: () => viewer.zoomBy(ZOOM) });
      this.zoomButton = controls.button({ label: "100%", kind: "quiet percent", help: "All of the picture, or pixel by pixel. Wheel or pinch to zoom, drag to move", key: "0", onClick: () => viewer.toggleZoom() });
      this.saveButton = controls.button({ ...SAVE, label: "Save", icon: "save", help: "Writes the picture in full quality to the gallery", onClick: onSave });
      this.filmButton = controls.button({ ...SAVE, label: "Restyle film", help: "Puts all of it into the job list; the result goes to the gallery", onClick: onSave });
      this.saveAll = controls.button({ label: "Save all", icon: "save", help: "Writes every photo of the row, each as it is set; films go to the job list", onClick: onSaveAll });
      this.filmButton.hidden = this.saveAll.hidden = true;
      this.element = h("div", { class: "studio-actions" }, h("div", {}, this.undoButton, this.redoButton, this.compareButton), h("div", {}, this.zoomOut, this.zoomButton, this.zoomIn), h("div", {}, this.saveAll, this.saveButton, this.filmButton));
      this.register(onPlay);
    }

    register(onPlay) {
      for (const [key, title, run] of [
        ["z", "Undo", () => this.undoButton.click()], ["s", "Save, or restyle the film", () => (this.saveButton.hidden ? this.filmButton : this.saveButton).click()], [" ", "Play or pause the finished film", onPlay],
        ["+", "Larger", () => this.zoomIn.click()], ["-", "Smaller", () => this.zoomOut.click()], ["0", "All of it, or pixel by pixel", () => this.zoomButton.click()],
      ]) keys.register({ key, title, tab: "restyle", run });
      keys.register({ key: "z", shift: true, title: "Redo", tab: "restyle", run: () => this.redoButton.click() });
    }

    /** Fit the buttons to the photo or film at hand (or none: null). isOff: nothing can be done to it. */
    set(photo, { isOff }) {
      this.undoButton.disabled = !photo?.past?.length;
      this.redoButton.disabled = !photo?.future?.length;
      for (const button of [this.compareButton, this.zoomOut, this.zoomIn, this.zoomButton, this.saveButton, this.filmButton]) button.disabled = isOff;
      this.saveButton.hidden = !!photo?.film;
      this.filmButton.hidden = !photo?.film;
    }

    /** How large the picture is shown, in percent of its pixels. */
    showZoom(percent) {
      this.zoomButton.querySelector("span").textContent = `${percent}%`;
    }
  }

  Object.assign(window.studio, { RestyleActions });
})();
