/* What is drawn behind keyframes: the ruler, the waveform with its beats and levels, the curve of a lane. Drawing only. */
(() => {
  "use strict";
  const { film } = window.studio;
  const POWERS = { quad: (u) => u * u, cubic: (u) => u * u * u, sine: (u) => 1 - Math.cos((u * Math.PI) / 2) };
  const TONES = ["--coarse", "--middle", "--fine", "--strong"];

  function bounce(u) {
    for (const [end, middle, height] of [[1, 0, 0], [2, 1.5, 0.75], [2.5, 2.25, 0.9375], [Infinity, 2.625, 0.984375]]) {
      if (u < end / 2.75) return 7.5625 * (u - middle / 2.75) ** 2 + height;
    }
    return 1;
  }

  /** The same curves as the server's, for drawing them. */
  function ease(name, u) {
    if (u <= 0 || u >= 1 || name === "linear") return Math.min(1, Math.max(0, u));
    if (name === "hold") return 0;
    if (name === "smoothstep") return u * u * (3 - 2 * u);
    if (name === "bounce") return bounce(u);
    const [, way, curve] = name.match(/^(ease-in-out|ease-in|ease-out)-(.*)$/);
    const power = POWERS[curve];
    if (way === "ease-in") return power(u);
    if (way === "ease-out") return 1 - power(1 - u);
    return u < 0.5 ? power(2 * u) / 2 : 1 - power(2 - 2 * u) / 2;
  }

  /** The value of a lane at a moment, as the film has it before sound moves it. */
  function laneValue(keys, time, seconds, isLoop) {
    const sorted = [...keys].sort((a, b) => a.time - b.time).filter((key) => !isLoop || key.time < seconds);
    if (!sorted.length) return keys[0]?.value ?? 0;
    const knots = isLoop ? [...sorted, { ...sorted[0], time: sorted[0].time + seconds }] : sorted;
    const at = isLoop && time < knots[0].time ? time + seconds : time;
    if (at <= knots[0].time) return knots[0].value;
    for (let i = 0; i < knots.length - 1; i += 1) {
      if (at < knots[i + 1].time) return knots[i].value + (knots[i + 1].value - knots[i].value) * ease(knots[i].easing, (at - knots[i].time) / (knots[i + 1].time - knots[i].time));
    }
    return knots[knots.length - 1].value;
  }

  /** Make a canvas as sharp as its place on the screen; returns its context and size. */
  function sheet(canvas) {
    const box = canvas.getBoundingClientRect();
    const density = Math.min(devicePixelRatio || 1, 2, 16000 / Math.max(1, box.width));
    canvas.width = Math.max(1, Math.round(box.width * density));
    canvas.height = Math.max(1, Math.round(box.height * density));
    const context = canvas.getContext("2d");
    context.setTransform(density, 0, 0, density, 0, 0);
    const style = getComputedStyle(canvas);
    return { context, width: box.width, height: box.height, tone: (name) => style.getPropertyValue(name) };
  }

  const clock = (time) => `${Math.floor(time / 60)}:${String(Math.floor(time % 60)).padStart(2, "0")}`;

  function drawRuler(canvas) {
    const { context, width, height, tone } = sheet(canvas);
    const { seconds } = film.facts;
    const step = [0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800].find((each) => (each / seconds) * width >= 56) || 3600;
    context.fillStyle = tone("--quiet");
    context.strokeStyle = tone("--line");
    context.font = '11px "IBM Plex Sans", sans-serif';
    for (let time = 0; time <= seconds + 1e-6; time += step) {
      const x = Math.round((time / seconds) * width) + 0.5;
      context.beginPath();
      context.moveTo(x, height - 6);
      context.lineTo(x, height);
      context.stroke();
      const words = step < 1 ? `${time.toFixed(step < 0.5 ? 2 : 1)}` : clock(time);
      if (x + 28 < width) context.fillText(words, x + 3, height - 8);
    }
  }

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const waves = new Map();
  const waveOf = (facts) => {
    if (!waves.has(facts.sha256)) waves.set(facts.sha256, new Int8Array(bytes(facts.wave || "").buffer));
    return waves.get(facts.sha256);
  };

  /** The waveform of the first sound, its beats, and over it the levels of what moves the film. */
  function drawSound(canvas, levels) {
    const { context, width, height, tone } = sheet(canvas);
    const { seconds, sounds } = film.facts;
    const refs = film.value?.film.sounds || [];
    const at = sounds.findIndex((facts) => facts.wave);
    if (at >= 0) {
      const facts = sounds[at];
      const wave = waveOf(facts);
      const count = wave.length / 2;
      context.fillStyle = tone("--strong");
      context.globalAlpha = 0.55;
      for (let x = 0; x < width; x += 1) {
        const time = refs[at].start + (x / width) * seconds;
        const i = Math.floor((time / facts.duration) * count);
        if (i < 0 || i >= count) continue;
        const top = (0.5 - wave[2 * i + 1] / 256) * height;
        context.fillRect(x, top, 1, Math.max(1, (0.5 - wave[2 * i] / 256) * height - top));
      }
      context.globalAlpha = 0.5;
      context.fillStyle = tone("--text");
      for (const beat of facts.beats) {
        const x = ((beat - refs[at].start) / seconds) * width;
        if (x >= 0 && x <= width) context.fillRect(Math.round(x), height - 5, 1, 5);
      }
    }
    context.globalAlpha = 0.9;
    levels.forEach((level, number) => {
      context.strokeStyle = tone(TONES[number % TONES.length]);
      context.beginPath();
      for (let x = 0; x <= width; x += 1) {
        const y = height - 2 - (level[Math.min(level.length - 1, Math.floor((x / width) * level.length))] / 255) * (height - 4);
        if (x) context.lineTo(x, y);
        else context.moveTo(x, y);
      }
      context.stroke();
    });
    context.globalAlpha = 1;
  }

  /** The way of a number through its keyframes. low, high: what the height of the lane stands for. */
  function drawLane(canvas, lane, low, high) {
    const { context, width, height, tone } = sheet(canvas);
    const { seconds } = film.facts;
    context.strokeStyle = tone("--strong");
    context.lineWidth = 1.5;
    context.beginPath();
    for (let x = 0; x <= width; x += 2) {
      const value = laneValue(lane.keys, (x / width) * seconds, seconds, film.value.film.loop);
      const y = 8 + (1 - (value - low) / (high - low || 1)) * (height - 16);
      if (x) context.lineTo(x, y);
      else context.moveTo(x, y);
    }
    context.stroke();
  }

  Object.assign(window.studio, { filmCurves: { ease, laneValue, drawRuler, drawSound, drawLane, bytes, clock, TONES } });
})();
