/* Small line plots drawn as SVG: a few series over one axis, a legend with the newest values, a cursor that reads them. */
(() => {
  "use strict";
  const { h } = window.studio;
  const WIDTH = 400;
  const HEIGHT = 96;
  const TONES = ["var(--accent-text)", "var(--fine)", "var(--middle)", "var(--coarse)", "var(--quiet)", "var(--strong)"];

  const nice = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(2)).toString());

  /** Ends of an axis that hold all values, a little room above and below. */
  function rangeOf(lines, axis) {
    const values = lines.flatMap((line) => line.points.map((point) => point[axis])).filter(Number.isFinite).sort((a, b) => a - b);
    if (!values.length) return [0, 1];
    const low = values[Math.floor(values.length * 0.01)];
    const high = values[Math.ceil(values.length * 0.99) - 1];
    const room = axis === 1 ? (high - low || Math.abs(high) || 1) * 0.08 : 0;
    return [low - room, Math.max(high + room, low + 1e-9)];
  }

  /** A plot: {element, set({title, lines: [{name, points: [[x, y]], last}], range})}. */
  function plot() {
    const legend = h("div", { class: "legend" });
    const svg = h("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    const cursor = h("div", { class: "cursor", hidden: true });
    const top = h("span", { class: "top" });
    const bottom = h("span", { class: "bottom" });
    const title = h("b");
    const end = h("span", { class: "end" });
    const box = h("div", { class: "area" }, svg, top, bottom, cursor);
    const element = h("figure", { class: "studio-plot" }, h("figcaption", {}, title, legend), box, end);
    let shown = { lines: [] };
    let ends = [0, 1];

    function values(at) {
      for (const item of legend.children) {
        const line = shown.lines[Number(item.dataset.index)];
        const nearest = at === null ? null : line.points.reduce((best, point) => (Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best));
        item.querySelector("i").textContent = nearest ? nice(nearest[1]) : line.last;
      }
    }

    box.addEventListener("pointermove", (event) => {
      const area = box.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - area.left) / area.width));
      cursor.hidden = !shown.lines.length;
      cursor.style.left = `${share * 100}%`;
      values(ends[0] + share * (ends[1] - ends[0]));
    });
    box.addEventListener("pointerleave", () => { cursor.hidden = true; values(null); });

    function set(next) {
      shown = next;
      ends = rangeOf(next.lines, 0);
      const [low, high] = next.range || rangeOf(next.lines, 1);
      const x = (value) => ((value - ends[0]) / (ends[1] - ends[0] || 1)) * WIDTH;
      const y = (value) => HEIGHT - ((Math.min(Math.max(value, low), high) - low) / (high - low)) * HEIGHT;
      const zero = low < 0 && high > 0 ? [h("line", { x1: "0", x2: String(WIDTH), y1: String(y(0)), y2: String(y(0)), class: "zero" })] : [];
      svg.replaceChildren(...zero, ...next.lines.map((line, index) => h("polyline", {
        points: line.points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" "), style: `stroke:${TONES[index % TONES.length]}`,
      })));
      svg.setAttribute("aria-label", `${next.title}: ${next.lines.map((line) => `${line.name} ${line.last}`).join(", ") || "nothing yet"}`);
      title.textContent = next.title;
      legend.replaceChildren(...next.lines.map((line, index) => h("span", { "data-index": String(index), style: `--tone:${TONES[index % TONES.length]}` }, line.name, h("i", { text: line.last }))));
      [top.textContent, bottom.textContent] = next.lines.length ? [nice(high), nice(low)] : ["", ""];
      end.textContent = next.lines.length ? `${nice(ends[1])} thousand pictures` : "Comes with the first figures";
    }
    return { element, set };
  }

  Object.assign(window.studio, { plot });
})();
