/* The film's clock: the sound that is heard, or the computer's clock where there is none. It knows no pictures. */
(() => {
  "use strict";
  const { emit, on, film, fetchParts, status, Refused } = window.studio;
  const DRIFT = 0.12;

  const sounds = new Map();
  const player = { isPlaying: false, time: 0, toggle, play, pause, seek, offer };
  let from = { at: 0, time: 0 };

  /** Have a sound at hand that was just dropped, so that it need not be fetched. */
  function offer(sha256, file) {
    if (!sounds.has(sha256)) keep(sha256, file);
  }

  function keep(sha256, blob) {
    const audio = new Audio(URL.createObjectURL(blob));
    audio.preload = "auto";
    const entry = { audio, isUsable: true };
    audio.addEventListener("error", () => { entry.isUsable = false; });
    sounds.set(sha256, entry);
    return entry;
  }

  /** Fetch the sounds of the film that are not at hand (after a reload). */
  async function gather() {
    for (const ref of film.value?.film.sounds || []) {
      if (!ref.is_heard || /\.midi?$/i.test(ref.name) || sounds.has(ref.sha256)) continue;
      sounds.set(ref.sha256, null);
      try {
        keep(ref.sha256, await fetchParts(film.server, "sound_part", ref.sha256));
      } catch (error) {
        sounds.delete(ref.sha256);
        if (!(error instanceof Refused)) throw error;
        status(error.message, "error");
        return;
      }
    }
  }

  const heard = () => (film.value?.film.sounds || [])
    .filter((ref) => ref.is_heard && sounds.get(ref.sha256)?.isUsable)
    .map((ref) => ({ start: ref.start, audio: sounds.get(ref.sha256).audio }));

  const seconds = () => film.facts.seconds || 1;
  const clock = () => from.time + (performance.now() - from.at) / 1000;

  function now() {
    if (!player.isPlaying) return player.time;
    const master = heard().find(({ audio }) => !audio.paused && !audio.seeking && audio.readyState > 2);
    const time = master ? master.audio.currentTime - master.start : clock();
    if (master) from = { at: performance.now(), time };
    return time;
  }

  /** Bring every sound to where the film is. */
  function align(time, isHard) {
    for (const { start, audio } of heard()) {
      const place = time + start;
      const isInside = place >= 0 && (!Number.isFinite(audio.duration) || place < audio.duration - 0.02);
      if (!player.isPlaying || !isInside) {
        if (!audio.paused) audio.pause();
        continue;
      }
      if (isHard || audio.paused || Math.abs(audio.currentTime - place) > DRIFT) if (Math.abs(audio.currentTime - place) > 0.03) audio.currentTime = place;
      if (audio.paused) audio.play().catch(() => {});
    }
  }

  function tick() {
    if (!player.isPlaying) return;
    let time = now();
    if (time >= seconds()) {
      if (!film.value?.film.loop) {
        pause();
        return seek(seconds());
      }
      time %= seconds();
      from = { at: performance.now(), time };
      align(time, true);
    } else align(time, false);
    player.time = Math.max(0, time);
    emit("film-time", { time: player.time, isMoving: true });
    requestAnimationFrame(tick);
    return undefined;
  }

  function play() {
    if (!film.value || player.isPlaying) return;
    player.isPlaying = true;
    if (player.time >= seconds() - 1e-3) player.time = 0;
    from = { at: performance.now(), time: player.time };
    align(player.time, true);
    emit("film-play", true);
    requestAnimationFrame(tick);
  }

  function pause() {
    if (!player.isPlaying) return;
    player.isPlaying = false;
    align(player.time, false);
    emit("film-play", false);
    emit("film-time", { time: player.time, isMoving: false });
  }

  function toggle() {
    if (player.isPlaying) pause();
    else play();
  }

  /** Go to a moment; isMoving: the hand still holds the playhead. */
  function seek(time, isMoving = false) {
    player.time = Math.min(Math.max(0, time), seconds());
    from = { at: performance.now(), time: player.time };
    align(player.time, true);
    emit("film-time", { time: player.time, isMoving: isMoving || player.isPlaying });
  }

  on("film-sound", ({ file, sound }) => { if (file) offer(sound.sha256, file); });
  on("film", () => { gather(); if (player.time > seconds()) seek(seconds()); });
  on("tab", (id) => { if (id !== "animate") pause(); });
  Object.assign(window.studio, { player });
})();
