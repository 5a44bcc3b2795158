/* How photos and films come to the desk of Restyle and leave it: dropped files, restyled pictures that are reopened, what is put away
 * and brought back. What becomes of them on the desk is not told here. */
(() => {
  "use strict";
  const { call, guarded, controls, status, tabs, photos } = window.studio;

  class PhotoArrivals {
    /** ready: a promise that the desk is filled; attempt(task): its answer, or undefined for a refusal, which it tells;
     * onSelect(photo): look at this one; onRow(): the row is another; onMore(): one more came that nobody looks at. */
    constructor({ server, desk, row, notice, ready, attempt, onSelect, onRow, onMore }) {
      Object.assign(this, { server, desk, row, notice, ready, attempt, onSelect, onRow, onMore });
      photos.handle = (list, point, options) => this.handle(list, point, options);
      photos.report = (refused, total) => this.report(refused, total);
      photos.reopen = (item) => this.reopen(item);
    }

    /** Take files in that were uploaded. isMore: others of the same drop came before, so what is looked at stays. Throws Refused. */
    async handle(list, point, { isMore = false } = {}) {
      if (tabs.current() !== "restyle") await tabs.show("restyle");
      await this.ready;
      for (const file of list) {
        const answer = await call(this.server, "arrive", { path: file.path, name: file.name, recipe: this.desk.like, as_photo: !!file.asPhoto });
        if (answer.missing) {
          this.ask(answer.say, file);
          continue;
        }
        const photo = this.take(answer.photo);
        if (photo.film) photo.file = file.file;
        status(answer.say);
        if (isMore) this.onMore();
        else this.onSelect(photo);
        isMore = true;
      }
    }

    /** Say which files of a drop could not be taken in. */
    report(refused, total) {
      this.notice.show(`${refused.length} of ${total} files could not be opened:`, { lines: refused, kind: "error" });
    }

    async reopen(item) {
      await this.ready;
      const answer = await this.attempt(() => call(this.server, "reopen", { recipe: item.recipe }));
      if (!answer) return;
      if (answer.missing) this.ask(answer.say.replace("This picture", item.name || "This picture"), null);
      else {
        status(answer.say);
        this.onSelect(this.take(answer.photo));
      }
    }

    /** Lay a photo that the server described on the desk. */
    take(entry) {
      this.notice.close();
      const photo = this.desk.put(entry);
      this.onRow();
      return photo;
    }

    /** Ask for the photo that a restyled picture was made from; or take the picture itself as a photo. */
    ask(words, file) {
      const asPhoto = controls.button({ label: "Restyle it as it is", help: "Takes the picture or film itself", onClick: () => {
        this.notice.close();
        this.attempt(() => this.handle([{ ...file, asPhoto: true }]));
      } });
      this.notice.show(words, { buttons: file ? [asPhoto] : [] });
    }

    async putAway(photo) {
      const answer = await guarded(() => call(this.server, "put_away", { id: photo.id, on: true }));
      if (!answer) return;
      const next = this.desk.takeOff(photo);
      this.row.bringBack.hidden = false;
      if (photo.id === this.desk.at) this.onSelect(next);
      else this.onRow();
      status(answer.say);
      this.row.focus();
    }

    async undoAway() {
      const { away } = this.desk;
      const answer = await guarded(() => call(this.server, "put_away", { id: away.photo.id, on: false }));
      if (!answer) return;
      this.desk.layBack(away);
      this.row.bringBack.hidden = true;
      this.onSelect(away.photo);
      status(answer.say);
    }
  }

  Object.assign(window.studio, { PhotoArrivals });
})();
