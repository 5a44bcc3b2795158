/* One set of training pictures on the page: its place, how far the reading is, and what was found. It knows no server and no form. */
(() => {
  "use strict";
  const { h, controls } = window.studio;

  /** The set `which`; onPath(text) is told the path that was typed, onFiles([{file, path}]) the files of a chosen folder. */
  function trainSet({ which, value, label, help, onPath, onFiles }) {
    const path = h("input", { type: "text", class: "studio-text", value, placeholder: "Path of a folder, zip or film", spellcheck: "false", autocomplete: "off", list: "studio-train-recent" });
    const say = h("p", { class: "say", "aria-live": "polite" });
    const bar = h("div", { class: "studio-progress idle", role: "progressbar" }, h("i"));
    const list = h("ul");
    const more = h("details", { class: "studio-details", hidden: true }, h("summary", { text: "What is in it, what was left out" }), list);
    const chooser = h("input", { type: "file", multiple: true, hidden: true, webkitdirectory: true });
    const choose = controls.button({ label: "Choose", help: "A folder of this computer; its pictures are copied into the studio's own folder", onClick: () => chooser.click() });
    let field = h("label");
    const element = h("div", { class: "train-set", "data-which": which }, field, choose, chooser, bar, say, more);
    path.addEventListener("change", () => onPath(path.value.trim()));
    path.addEventListener("keydown", (event) => { if (event.key === "Enter") path.blur(); });
    chooser.addEventListener("change", () => {
      onFiles([...chooser.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
      chooser.value = "";
    });
    const set = {
      element,
      show(text) { path.value = text; },
      name(words, about) {
        if (path.ariaLabel === words) return;
        path.ariaLabel = words;
        bar.ariaLabel = `Reading ${words.toLowerCase()}`;
        const named = controls.help(h("label", { class: "studio-field" }, h("span", { text: words }), path), about);
        field.replaceWith(named);
        field = named;
      },
      busy(share, words) {
        bar.classList.toggle("idle", share === null);
        bar.dataset.known = share ? "1" : "";
        bar.style.setProperty("--share", String(share || 0));
        if (words !== undefined) say.textContent = words;
        say.classList.remove("studio-problem");
      },
      report(lines) {
        list.replaceChildren(...lines.map((line) => h("li", { text: line })));
        more.hidden = !lines.length;
      },
      refuse(words) {
        set.busy(null, words);
        say.classList.add("studio-problem");
        set.report([]);
      },
    };
    set.name(label, help);
    return set;
  }

  Object.assign(window.studio, { trainSet });
})();
