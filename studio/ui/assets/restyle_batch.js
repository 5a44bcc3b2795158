/* What is kept in Restyle: photos in full quality, films in the list of jobs; of several it is told at the end what became of them. */
(() => {
  "use strict";
  const { h, emit, status, controls, restyleWishes: { keyOf } } = window.studio;

  class Keeper {
    /** ask(name, photo): the answer of the server, or null with `why()` telling the reason; onOrder(photo): a film is in the list. */
    constructor({ ask, why, notice, onOrder }) {
      Object.assign(this, { ask, why, notice, onOrder });
    }

    /** Keep one or several; of several those are left out that were kept before and have not been changed since. */
    async keep(list) {
      const made = [];
      const failed = [];
      const isBatch = list.length > 1;
      this.isStopped = false;
      const words = (place) => `Saving ${place + 1} of ${list.length} …`;
      if (isBatch) this.notice.show(words(0), { buttons: [controls.button({ label: "Stop", help: "Ends after the one in hand; Save all goes on there", onClick: () => { this.isStopped = true; } })] });
      for (const [place, photo] of list.entries()) {
        if (this.isStopped) break;
        if (isBatch) this.notice.say(words(place));
        if (!photo.recipe.model.name || photo.saving) continue;
        const key = keyOf(photo.recipe);
        if (!isBatch || photo.kept?.key !== key) {
          const answer = photo.film ? await this.order(photo) : await this.save(photo);
          photo.kept = answer ? { key, id: answer.id } : null;
        }
        if (!photo.kept) failed.push(`${photo.name}: ${this.why()}`);
        else if (!photo.film) made.push(photo.kept.id);
      }
      if (isBatch) this.report(list, made, failed);
    }

    async save(photo) {
      const answer = await this.ask("save", photo);
      if (!answer) return null;
      if (answer.download) h("a", { href: answer.download, download: answer.id }).click();
      status(answer.say);
      emit("gallery");
      return answer;
    }

    /** Put a film into the list; wishes: other than its own, for a part that is tried. */
    async order(photo, wishes = {}) {
      const answer = await this.ask("order_film", photo, wishes);
      if (!answer) return null;
      photo.film.orders = answer.orders;
      status(answer.say);
      emit("jobs", {});
      this.onOrder(photo);
      return answer;
    }

    report(list, made, failed) {
      const films = list.filter((photo) => photo.film).length;
      const photos = list.length - films;
      const words = [this.isStopped ? "Stopped." : "", photos ? `${made.length} of ${photos} photos are saved.` : "", films && !this.isStopped ? "Films are in the job list." : "", failed.length ? `${failed.length} could not be made:` : ""];
      const sheet = controls.button({ label: "Contact sheet", icon: "download", help: "One picture with all that were saved", onClick: () => this.sheet(made) });
      this.notice.show(words.filter(Boolean).join(" "), { lines: failed, buttons: made.length > 1 ? [sheet] : [], kind: failed.length ? "error" : "info" });
    }

    async sheet(ids) {
      const answer = await this.ask("sheet", null, { ids });
      if (!answer) return;
      h("a", { href: answer.url, download: answer.name }).click();
      status(`${answer.name} goes to your downloads.`);
    }
  }

  Object.assign(window.studio, { Keeper });
})();
