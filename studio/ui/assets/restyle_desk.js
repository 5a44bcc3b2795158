/* The desk of Restyle: the photos and films on it, which one is looked at, what is wished of each and what was wished before. It keeps
 * all this and knows neither the server nor the page. */
(() => {
  "use strict";
  const { clone, restyleWishes } = window.studio;
  const { keyOf } = restyleWishes;
  const AT = "studio.restyle.at";
  const LIKE = "studio.restyle.like";
  const STEPS = 200;

  const refOf = ({ name, sha256 }) => ({ name, sha256 });
  const read = (key) => { try { return JSON.parse(localStorage.getItem(key)); } catch { return null; } };

  class PhotoDesk {
    constructor() {
      Object.assign(this, { photos: [], at: "", styles: [], like: null, away: null });
    }

    /** The photo at hand, or null. */
    get current() {
      return this.photos.find((photo) => photo.id === this.at) || null;
    }

    /** What is wished of the photo at hand, or without one of the next. */
    get wanted() {
      return this.current?.recipe || this.like;
    }

    // ---- the styles there are, and the wishes for the next photo ----------------------------------------------------------
    /** These styles are installed. */
    know(styles) {
      this.styles = styles;
      if (this.like && !this.hasLiked()) this.like.model = styles.length ? refOf(styles[0]) : { name: "", sha256: "" };
    }

    hasLiked() {
      return this.styles.some((style) => style.name === this.like.model.name);
    }

    /** Take up what was wished last in this browser. */
    recall({ defaults, bounds }) {
      this.like = { ...clone(defaults), ...(read(LIKE) || {}) };
      this.like.restyle = { ...restyleWishes.plain(bounds), ...(this.like.restyle || {}) };
      if (!this.hasLiked() && this.styles.length) this.like.model = refOf(this.styles[0]);
    }

    remember(recipe) {
      this.like = clone(recipe);
      localStorage.setItem(LIKE, JSON.stringify({ model: recipe.model, enlarge: recipe.enlarge || [], restyle: { ...recipe.restyle, source_name: "", source_sha256: "", mask: "", start: 0, end: null } }));
    }

    // ---- photos come and go ------------------------------------------------------------------------------------------------
    /** Lay down a photo that the server described, or bring the one that is there up to date. */
    put(entry) {
      const known = this.photos.find((photo) => photo.id === entry.id);
      const recipe = entry.recipe.restyle ? entry.recipe : { ...entry.recipe, restyle: clone(this.like.restyle) };
      if (known) {
        this.record(known, recipe);
        Object.assign(known, { recipe, film: entry.film && { ...known.film, ...entry.film } });
        return known;
      }
      const photo = { ...entry, recipe, before: null, after: null, done: "", style: "", busy: "", settled: null, frame: entry.film?.frame || 0 };
      this.photos.push(photo);
      return photo;
    }

    /** Look at a photo, or at none. */
    choose(photo) {
      this.at = photo?.id || "";
      sessionStorage.setItem(AT, this.at);
      if (photo) this.remember(photo.recipe);
    }

    /** The photo that was looked at before the page was reloaded, or else the first; null when there is none. */
    last() {
      const at = sessionStorage.getItem(AT);
      return this.photos.find((photo) => photo.id === at) || this.photos[0] || null;
    }

    /** Take a photo off; returns the one that lies beside its place now, or null. */
    takeOff(photo) {
      const place = this.photos.indexOf(photo);
      this.photos.splice(place, 1);
      this.away = { photo, place };
      return this.photos[Math.min(place, this.photos.length - 1)] || null;
    }

    /** Put what was taken off (an earlier ``away``) back to its place. */
    layBack({ photo, place }) {
      this.photos.splice(place, 0, photo);
    }

    // ---- wishes and undo ---------------------------------------------------------------------------------------------------
    /** Change what is wished of the photo at hand (without one: of the next). isDone: the hand let go, make it one undo step. */
    wish({ enlarge, ...values }, { isDone, style }) {
      const photo = this.current;
      const next = clone(photo ? photo.recipe : this.like);
      Object.assign(next.restyle, values);
      if (enlarge) next.enlarge = enlarge;
      if (style) {
        next.model = refOf(style);
        next.restyle.styles = style.style ? [{ name: style.style, weight: 1 }] : [];
      }
      if (photo) {
        if (isDone) this.record(photo, next);
        else photo.from ||= clone(photo.recipe);
        photo.recipe = next;
      }
      this.remember(next);
    }

    record(photo, next) {
      const from = photo.from || photo.recipe;
      photo.from = null;
      if (keyOf(from) === keyOf(next)) return;
      photo.past = [...(photo.past || []), clone(from)].slice(-STEPS);
      photo.future = [];
    }

    /** Go a step from "past" to "future" or the other way; false when there is none. */
    travel(from, to) {
      const photo = this.current;
      if (!photo?.[from]?.length) return false;
      photo[to] = [...(photo[to] || []), clone(photo.recipe)];
      photo.recipe = photo[from].pop();
      return true;
    }

    /** Give every photo what is wished of the one at hand. */
    share() {
      const photo = this.current;
      for (const other of this.photos) {
        if (other === photo) continue;
        const next = { ...clone(other.recipe), model: clone(photo.recipe.model), enlarge: clone(photo.recipe.enlarge || []), restyle: { ...other.recipe.restyle, ...clone(restyleWishes.shared(photo.recipe.restyle)) } };
        this.record(other, next);
        if (keyOf(next) !== keyOf(other.recipe)) Object.assign(other, { recipe: next, settled: null, busy: "" });
      }
    }
  }

  Object.assign(window.studio, { PhotoDesk });
})();
