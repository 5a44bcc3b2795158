const { h, on, emit, call, guarded, controls, status, tabs, keys } = window.studio;
const root = element.querySelector(".studio-widget");
const BUSY = 1000;
const ACTIVE = ["running", "waiting"];
const WORDS = { done: "Done", failed: "Failed", cancelled: "Cancelled" };

const list = h("ol", { class: "film-jobs" });
const empty = h("p", { class: "studio-quiet", text: "Films that you render appear here: how far they are, pause, cancel, order. They go on when the page is closed." });
const clear = controls.button({ label: "Clear what has ended", kind: "quiet", onClick: () => take(guarded(() => call(server, "clear_jobs"))) });
const drawer = h("aside", { class: "film-drawer", role: "dialog", "aria-label": "Films in the making", hidden: true, tabindex: "-1" },
  h("div", { class: "film-drawer-head" }, h("h2", { text: "Films in the making" }), controls.button({ label: "Close", icon: "close", iconOnly: true, kind: "quiet", key: "Esc", onClick: () => open(false) })),
  list, empty, clear);
const count = h("b", {});
const button = h("button", { type: "button", class: "studio-button quiet film-jobs-button", "aria-expanded": "false", "aria-label": "Films in the making", onclick: () => open(drawer.hidden) },
  h("svg", { viewBox: "0 0 20 20", width: "18", height: "18", "aria-hidden": "true", class: "studio-icon" }, h("path", { d: "M3 4h14v12H3zM3 7.500h14M3 12.500h14M7 4v3.500M13 4v3.500M7 12.500V16M13 12.500V16", fill: "none", stroke: "currentColor", "stroke-width": "1.5" })), count);
controls.help(button, "Films in the making: progress, pause, cancel, order");

const rows = new Map();
const known = new Map();
let timer = 0;
let isAsking = false;

function open(isOpen) {
  drawer.hidden = !isOpen;
  button.setAttribute("aria-expanded", String(isOpen));
  if (isOpen) {
    refresh();
    drawer.focus({ preventScroll: true });
  } else if (drawer.contains(document.activeElement) || document.activeElement === document.body) button.focus({ preventScroll: true });
}

async function refresh() {
  if (isAsking) return;
  isAsking = true;
  try {
    await take(guarded(() => call(server, "jobs")));
  } finally {
    isAsking = false;
  }
}

async function take(asked) {
  const answer = await asked;
  clearTimeout(timer);
  if (!answer) { timer = setTimeout(refresh, 5 * BUSY); return; }
  show(answer.jobs);
  emit("jobs-listed", answer.jobs);
  const isBusy = answer.jobs.some((job) => ACTIVE.includes(job.state));
  if (isBusy) timer = setTimeout(refresh, BUSY);
}

function show(jobs) {
  const busy = jobs.filter((job) => ACTIVE.includes(job.state)).length;
  count.textContent = busy ? String(busy) : "";
  button.setAttribute("aria-label", busy ? `Films in the making: ${busy}` : "Films in the making");
  empty.hidden = jobs.length > 0;
  clear.hidden = !jobs.some((job) => WORDS[job.state]);
  const ids = new Set(jobs.map((job) => job.id));
  for (const [id, row] of rows) if (!ids.has(id)) { row.element.remove(); rows.delete(id); }
  jobs.forEach((job, place) => {
    if (!rows.has(job.id)) rows.set(job.id, makeRow(job.id));
    const row = rows.get(job.id);
    if (list.children[place] !== row.element) list.insertBefore(row.element, list.children[place] || null);
    fill(row, job);
  });
}

function makeRow(id) {
  const image = h("img", { alt: "", hidden: true });
  const title = h("b", {});
  const words = h("span", { class: "film-job-words" });
  const bar = h("div", { class: "studio-progress", role: "progressbar", "aria-label": "Progress", "data-known": "1" }, h("i"));
  const act = (action, label, icon) => controls.button({ label, icon, iconOnly: !!icon, kind: "quiet small", onClick: () => change(id, action) });
  const parts = {
    pause: act("pause", "Pause"), resume: act("resume", "Go on"), cancel: act("cancel", "Cancel"), earlier: act("earlier", "Earlier"), later: act("later", "Later"),
    save: controls.button({ label: "Download", icon: "download", kind: "quiet small", onClick: () => save(rows.get(id).job) }),
    look: controls.button({ label: "Show in Gallery", kind: "quiet small", onClick: () => look(rows.get(id).job.item) }), remove: act("remove", "Remove from the list", "close"),
  };
  const box = h("li", { class: "film-job" }, image, h("div", { class: "film-job-body" }, title, words, bar, h("div", { class: "film-buttons" }, Object.values(parts))));
  return { element: box, image, title, words, bar, parts, stamp: 0 };
}

function fill(row, job) {
  row.job = job;
  row.element.dataset.state = job.state;
  row.title.textContent = job.title;
  row.title.title = job.title;
  row.words.textContent = job.note || WORDS[job.state] || job.label.replace(/^./, (letter) => letter.toUpperCase());
  row.words.dataset.kind = job.state === "failed" ? "error" : "";
  row.bar.style.setProperty("--share", String(job.share));
  row.bar.setAttribute("aria-valuenow", String(Math.round(job.share * 100)));
  row.bar.hidden = !!WORDS[job.state];
  const can = { pause: ACTIVE.includes(job.state), resume: ["paused", "failed", "cancelled"].includes(job.state), cancel: [...ACTIVE, "paused"].includes(job.state),
    earlier: job.place > 0, later: job.place >= 0 && job.place < job.waiting - 1, look: job.state === "done" && !!job.item && !job.file, save: job.state === "done" && !!job.file, remove: !!WORDS[job.state] };
  for (const [name, part] of Object.entries(row.parts)) part.hidden = !can[name];
  if (job.stamp && job.stamp !== row.stamp && !drawer.hidden) fetchPicture(row, job);
  const before = known.get(job.id);
  known.set(job.id, job.state);
  if (!before || before === job.state) return;
  if (job.state === "done") {
    status(`${job.title} is done. ${job.file ? "Download it here." : "It is in the Gallery."}`);
    emit("gallery");
  } else if (job.state === "failed") status(job.note, "error");
}

async function fetchPicture(row, job) {
  row.stamp = job.stamp;
  const answer = await guarded(() => call(server, "job_picture", { id: job.id }));
  if (!answer?.url) return;
  row.image.src = answer.url;
  row.image.hidden = false;
}

function change(id, action) {
  const { job } = rows.get(id);
  const place = action === "earlier" ? job.place - 1 : action === "later" ? job.place + 1 : 0;
  const wanted = action === "earlier" || action === "later" ? "move" : action;
  return take(guarded(() => call(server, "change_job", { id, action: wanted, place })));
}

/** Frames in a zip are no picture of the Gallery: the file goes to the downloads. */
async function save(job) {
  status(`Fetching ${job.file} …`);
  const blob = await guarded(() => window.studio.fetchParts(server, "job_part", job.id));
  if (!blob) return;
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: job.file }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
  status(`${job.file} goes to your downloads.`);
}

async function look(item) {
  open(false);
  await tabs.show("gallery");
  emit("gallery-look", item);
}

root.append(drawer);
on("jobs", ({ open: isOpen }) => { if (isOpen) open(true); refresh(); });
on("cancel", () => { if (!drawer.hidden) open(false); });
on("ready", () => {
  document.querySelector(".studio-top-right .studio-picker-box")?.after(button);
  refresh();
});
addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
keys.register({ key: "j", title: "Films in the making", run: () => open(drawer.hidden) });
window.studio.mounted(element);
