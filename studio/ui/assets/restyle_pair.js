/* Two films in step under the edge of a Viewer: the one that is restyled leads and is heard, the original follows it, muted. */
(() => {
  "use strict";
  const { h, controls } = window.studio;
  const LEAP = 0.2;
  const DRIFT = 0.02;

  /** Wait until a film can be shown; false when this browser cannot play it. */
  function load(url, label) {
    const video = h("video", { src: url, playsinline: true, preload: "auto", "aria-label": label });
    return new Promise((resolve) => {
      video.addEventListener("loadeddata", () => resolve(video.videoWidth ? video : null), { once: true });
      video.addEventListener("error", () => resolve(null), { once: true });
    });
  }

  class FilmPair {
    /** onTime(seconds): the restyled film is there; onState(isPlaying). */
    constructor({ onTime, onState }) {
      Object.assign(this, { onTime, onState, before: null, after: null, start: 0, isPlaying: false, urls: [] });
    }

    /** Make two blobs ready; start: where in the original the restyled one begins. Returns what cannot be played: "", "before" or "after". */
    async open(before, after, start) {
      this.close();
      this.start = start;
      this.urls = [before, after].map((blob) => URL.createObjectURL(blob));
      const films = await Promise.all([load(this.urls[0], "Before"), load(this.urls[1], "After")]);
      if (!films[1]) return "after";
      if (!films[0]) return "before";
      [this.before, this.after] = films;
      this.before.muted = true;
      this.after.addEventListener("ended", () => { if (this.isPlaying) { this.seek(0); this.play(); } });
      this.after.addEventListener("timeupdate", () => { if (!this.isPlaying) this.onTime(this.after.currentTime); });
      this.seek(0);
      return "";
    }

    close() {
      this.pause();
      this.urls.forEach((url) => URL.revokeObjectURL(url));
      Object.assign(this, { before: null, after: null, urls: [] });
    }

    seek(seconds) {
      if (!this.after) return;
      const time = controls.clamp(seconds, 0, Math.max(0, this.after.duration - 0.001));
      this.after.currentTime = time;
      this.before.currentTime = time + this.start;
      this.onTime(time);
    }

    play() {
      if (!this.after) return;
      this.isPlaying = true;
      if (this.after.ended) this.seek(0);
      this.after.play().catch(() => this.pause());
      this.before.play().catch(() => {});
      this.onState(true);
      requestAnimationFrame(() => this.tick());
    }

    pause() {
      if (!this.isPlaying) return;
      this.isPlaying = false;
      this.after.pause();
      this.before.pause();
      this.before.playbackRate = 1;
      this.before.currentTime = this.after.currentTime + this.start;
      this.onState(false);
    }

    toggle() {
      if (this.isPlaying) this.pause();
      else this.play();
    }

    /** Keep the original beside the restyled film: it runs a little slower or faster, and leaps when it is far off. */
    tick() {
      if (!this.isPlaying) return;
      const drift = this.before.currentTime - this.start - this.after.currentTime;
      if (Math.abs(drift) > LEAP && !this.before.seeking) this.before.currentTime = this.after.currentTime + this.start;
      this.before.playbackRate = Math.abs(drift) > DRIFT ? controls.clamp(1 - drift, 0.8, 1.25) : 1;
      if (this.before.paused && !this.before.ended) this.before.play().catch(() => {});
      this.onTime(this.after.currentTime);
      requestAnimationFrame(() => this.tick());
    }
  }

  Object.assign(window.studio, { FilmPair });
})();
