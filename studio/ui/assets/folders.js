/* Files out of a drop, dropped folders opened: their files with the paths that they had. */
(() => {
  "use strict";
  const MOST_FILES = 100_000;

  const entriesOf = (reader) => new Promise((resolve, reject) => reader.readEntries(resolve, reject));
  const fileOf = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));

  async function walk(entry, path, found) {
    if (found.length >= MOST_FILES) return;
    if (entry.isFile) {
      found.push({ file: await fileOf(entry), path: path + entry.name });
      return;
    }
    const reader = entry.createReader();
    for (let part = await entriesOf(reader); part.length; part = await entriesOf(reader)) {
      for (const child of part) await walk(child, `${path}${entry.name}/`, found);
    }
  }

  /** Return [{file, path}] of everything in a DataTransfer; call it before the event is over. */
  function dropped(transfer) {
    const entries = [...(transfer.items || [])].map((item) => (item.kind === "file" ? item.webkitGetAsEntry?.() : null));
    const files = [...transfer.files];
    return (async () => {
      const found = [];
      if (!entries.some((entry) => entry?.isDirectory)) return files.map((file) => ({ file, path: file.webkitRelativePath || file.name }));
      for (const entry of entries) if (entry) await walk(entry, "", found);
      return found;
    })();
  }

  Object.assign(window.studio, { dropped });
})();
