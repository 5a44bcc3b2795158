/* A note in Restyle that stays until it is closed: a question about a file, or what became of a batch, error by error. */
(() => {
  "use strict";
  const { h, controls, status } = window.studio;

  class Notice {
    constructor() {
      this.words = h("p");
      this.list = h("ul", { hidden: true });
      this.buttons = h("div", { class: "film-buttons" });
      const close = controls.button({ label: "Close", kind: "quiet", icon: "close", iconOnly: true, onClick: () => this.close() });
      this.element = h("div", { class: "studio-asking", role: "note", hidden: true }, h("div", { class: "studio-asking-words" }, this.words, this.list), this.buttons, close);
    }

    /** Show a sentence, with lines below it and buttons of controls.button(). kind: of the status line. */
    show(words, { lines = [], buttons = [], kind = "info" } = {}) {
      this.words.textContent = words;
      this.list.replaceChildren(...lines.map((line) => h("li", { text: line })));
      this.list.hidden = !lines.length;
      this.buttons.replaceChildren(...buttons);
      this.element.hidden = false;
      status(words.replace(/:$/, "."), kind);
    }

    /** Change the sentence alone. */
    say(words) {
      this.words.textContent = words;
    }

    close() {
      this.element.hidden = true;
    }
  }

  Object.assign(window.studio, { Notice });
})();
