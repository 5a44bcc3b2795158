/* How pictures come about in Restyle: the photo itself, quick looks while the hand moves, the full picture, and photo after photo while
 * nothing else is at work. It knows the desk and the viewer, not the controls around them. */
(() => {
  "use strict";
  const { emit, call, guarded, latestWins, controls, status, decode, clone, restyleWishes } = window.studio;
  const { keyOf, styleOf } = restyleWishes;
  const LARGE = 600_000;
  const SKETCH = 800;
  const SCRUB = 640;
  const SHOWN = 4;
  const PATIENCE = 200;

  /** What a picture of a photo depends on: its wishes, and of a film also the frame. */
  const workOf = (photo, recipe = photo.recipe) => `${keyOf(recipe)}@${photo.frame}`;
  const lookOf = (photo, recipe) => `${styleOf(recipe)}@${photo.frame}`;

  class Developer {
    /** attempt(task): its answer, or undefined for a refusal, which it tells; isWatching(): the viewer shows a finished film;
     * onBusy(): other photos are at work; onMade(photo): a full picture is there; onEnd(): one ended, made or not; onStop(): by hand. */
    constructor({ server, desk, viewer, attempt, isWatching, onBusy, onMade, onEnd, onStop }) {
      Object.assign(this, { server, desk, viewer, attempt, isWatching, onBusy, onMade, onEnd, onStop, seen: [], shown: "", batchNorm: {} });
      this.scrub = latestWins((wanted) => this.drawScrub(wanted));
      /** Draw small while the hand moves: {photo, recipe}; the newest wishes win. */
      this.drawSketch = latestWins((wanted, isOutdated) => this.sketch(wanted, isOutdated));
    }

    ask(name, payload) {
      return this.attempt(() => call(this.server, name, payload));
    }

    // ---- what is shown ---------------------------------------------------------------------------------------------------
    /** Show a photo as far as it is made, if it is the one at hand. */
    async show(photo) {
      if (photo !== this.desk.current || this.isWatching()) return;
      if (!photo.before && !(await this.fetchOriginal(photo))) return;
      if (photo !== this.desk.current || this.isWatching() || !photo.before) return;
      this.pair(photo, photo.before, photo.after, photo.isSketch);
      this.seen = [photo, ...this.seen.filter((other) => other !== photo)];
      for (const old of this.seen.splice(SHOWN)) Object.assign(old, { before: null, after: null, done: "" });
    }

    pair(photo, before, after, isSketch = false) {
      const keepsView = !!photo.film && this.shown === photo.id;
      this.shown = photo.id;
      this.viewer.pair(before, after, { width: photo.width, height: photo.height, words: `${photo.name}, ${photo.recipe.model.name}`, isSketch, keepsView });
    }

    /** Fetch a photo itself, or the frame of a film; whoever asks meanwhile waits for the same answer. */
    fetchOriginal(photo) {
      const { id, frame } = photo;
      if (photo.arriving?.frame === frame) return photo.arriving.image;
      const image = (async () => {
        const answer = await (photo.film ? this.ask("frame", { id, frame }) : this.ask("original", { id }));
        const found = answer ? await decode(answer.url) : null;
        if (photo.arriving?.frame === frame) photo.arriving = null;
        if (photo.frame === frame) photo.before = found;
        return found;
      })();
      photo.arriving = { frame, image };
      return image;
    }

    /** Another moment of the film: small frames while the hand moves, then this one before and after. */
    seek(frame, isDone) {
      const photo = this.desk.current;
      if (photo.frame !== frame) Object.assign(photo, { frame, before: null, after: null, done: "", style: "" });
      if (!isDone) return this.scrub({ photo, frame });
      this.show(photo);
      return this.develop(photo);
    }

    async drawScrub({ photo, frame }) {
      const answer = await this.ask("frame", { id: photo.id, frame, size: SCRUB });
      const image = answer && (await decode(answer.url));
      if (image && photo === this.desk.current && !photo.before && !this.isWatching()) this.pair(photo, image, null);
    }

    async sketch({ photo, recipe }, isOutdated = () => false) {
      const box = this.viewer.frame.getBoundingClientRect();
      const size = Math.round(controls.clamp(Math.max(box.width, box.height) * (devicePixelRatio || 1), 256, SKETCH));
      const { frame } = photo;
      const answer = await this.ask("sketch", { id: photo.id, recipe, size, frame });
      if (!answer || photo.frame !== frame || photo.done === workOf(photo)) return;
      const image = await decode(answer.url);
      if (photo.frame !== frame || photo.done === workOf(photo) || (isOutdated() && photo.after === null)) return;
      Object.assign(photo, { after: image, isSketch: photo.width * photo.height > LARGE, done: "" });
      await this.show(photo);
    }

    // ---- the work --------------------------------------------------------------------------------------------------------
    /** Ask until the answer is there; null when meanwhile something else is wanted. */
    async poll(name, photo, payload, isWanted) {
      for (;;) {
        const answer = await this.ask(name, { id: photo.id, ...payload });
        if (!isWanted()) return null;
        if (!answer || !answer.pending) return answer;
        Object.assign(photo, { share: answer.share, left: answer.left });
        this.showBusy();
      }
    }

    showBusySoon() {
      setTimeout(() => this.showBusy(), PATIENCE + 10);
    }

    /** Make the full picture of a photo as it is wished now, unless it is made or on its way. */
    async develop(photo, { gather = true } = {}) {
      const wanted = clone(photo.recipe);
      const key = workOf(photo, wanted);
      if (!wanted.model.name || photo.busy === key) return;
      if (photo.done === key) {
        photo.busy = "";
        this.showBusy();
        return;
      }
      Object.assign(photo, { busy: key, since: performance.now(), share: null, left: 0, failed: "" });
      this.showBusySoon();
      if (photo === this.desk.current && photo.width * photo.height > LARGE && photo.style !== lookOf(photo, wanted)) {
        await this.sketch({ photo, recipe: wanted });
        if (photo.busy !== key) return;
      }
      const answer = await this.poll("develop", photo, { recipe: wanted, gather, frame: photo.frame }, () => photo.busy === key);
      if (answer === null) return;
      photo.busy = "";
      if (answer) await this.developed(photo, wanted, key, answer);
      else photo.failed = key;
      this.showBusy();
      this.onEnd();
      this.pump();
    }

    async developed(photo, recipe, key, answer) {
      const image = await decode(answer.url);
      if (answer.item) emit("picture-made", answer.item);
      if (answer.speed) emit("speed", answer.speed);
      photo.thumbnail = answer.thumbnail;
      this.batchNorm[recipe.model.name] = answer.batch_norm;
      photo.settled = recipe;
      if (workOf(photo) !== key) return;
      Object.assign(photo, { after: image, done: key, style: lookOf(photo, recipe), isSketch: false });
      this.onMade(photo);
      await this.show(photo);
    }

    /** Photos that nobody looks at are made one after the other, when nothing else is. */
    pump() {
      const { photos } = this.desk;
      if (photos.some((photo) => photo.busy)) return;
      const next = photos.find((photo) => photo.recipe.model.name && !photo.settled && photo.failed !== workOf(photo));
      if (next) this.develop(next);
    }

    /** Write a photo in full quality, which takes a while; undefined when it was refused. */
    async save(photo) {
      Object.assign(photo, { saving: true, share: null, left: 0 });
      this.showBusySoon();
      const answer = await this.poll("save", photo, { recipe: clone(photo.recipe) }, () => true);
      photo.saving = false;
      this.showBusy();
      return answer;
    }

    showBusy() {
      const photo = this.desk.current;
      const isBusy = !!photo && ((!!photo.busy && performance.now() - photo.since > PATIENCE) || !!photo.saving);
      this.viewer.busy(isBusy, isBusy && !photo.saving ? () => this.stop() : null);
      if (isBusy) this.viewer.progress(photo.share ?? null, photo.left ? (photo.share > 0.96 ? "almost there" : `about ${Math.ceil(photo.left)} s left`) : photo.saving ? "full quality" : "");
      this.onBusy();
    }

    /** Give up the picture in hand and go back to what was wished when the last one was made. */
    stop() {
      const photo = this.desk.current;
      if (!photo?.busy) return;
      photo.failed = photo.busy;
      photo.busy = "";
      guarded(() => call(this.server, "cancel", { id: photo.id }));
      if (photo.settled) {
        photo.recipe = clone(photo.settled);
        this.develop(photo, { gather: false });
      } else photo.after = null;
      this.onStop();
      this.show(photo);
      this.showBusy();
      status("Cancelled.");
    }
  }

  Object.assign(window.studio, { Developer });
})();
