/* What can be told of sound as it comes, hop by hop, looking back only: the features of studio/audio/spectra.py as far as they can
 * be known in the moment. The classes are also run in an audio worklet, so they use nothing from outside themselves. */
(() => {
  "use strict";

  /** Power spectra of real samples; a full-scale sine has 1 at its frequency. */
  class Spectrum {
    constructor(size) {
      this.size = size;
      this.shape = Float32Array.from({ length: size }, (_, i) => (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size)) * (4 / size));
      this.cos = Float32Array.from({ length: size / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / size));
      this.sin = Float32Array.from({ length: size / 2 }, (_, i) => Math.sin((2 * Math.PI * i) / size));
      this.real = new Float32Array(size);
      this.imaginary = new Float32Array(size);
      this.power = new Float32Array(size / 2 + 1);
      const bits = Math.log2(size);
      this.order = Uint32Array.from({ length: size }, (_, i) => {
        let turned = 0;
        for (let bit = 0; bit < bits; bit += 1) if (i & (1 << bit)) turned |= 1 << (bits - 1 - bit);
        return turned;
      });
    }

    /** Of the last samples of a ring that ends before `end`. Cooley and Tukey 1965. */
    read(ring, end) {
      const { size, real, imaginary, cos, sin, order, shape, power } = this;
      const mask = ring.length - 1;
      for (let i = 0; i < size; i += 1) real[order[i]] = ring[(end - size + i) & mask] * shape[i];
      imaginary.fill(0);
      for (let half = 1; half < size; half *= 2) {
        const step = size / (2 * half);
        for (let start = 0; start < size; start += 2 * half) {
          for (let i = 0; i < half; i += 1) {
            const [a, b] = [start + i, start + i + half];
            const [c, s] = [cos[i * step], -sin[i * step]];
            const re = real[b] * c - imaginary[b] * s;
            const im = real[b] * s + imaginary[b] * c;
            real[b] = real[a] - re;
            imaginary[b] = imaginary[a] - im;
            real[a] += re;
            imaginary[a] += im;
          }
        }
      }
      for (let k = 0; k <= size / 2; k += 1) power[k] = real[k] * real[k] + imaginary[k] * imaginary[k];
      return power;
    }
  }

  /** Feed it samples; it tells the features of every hop, in the order of Hearing.names. */
  class Hearing {
    static names = ["rms", "low", "mid", "high", "onset", "onset_low", "onset_mid", "onset_high", "percussive", "percussive_onset", "harmonic",
      "centroid", "beat", "beat_phase", "section", "section_change", ...Array.from({ length: 12 }, (_, i) => `chroma.${i}`)];
    static hop = 512;
    static window = 2048;
    static chromaWindow = 8192;
    static bands = [[0, 150], [150, 2000], [2000, 12000]];
    static floor = 1e-6;
    static margins = [4, 4];

    constructor(sampleRate, tell) {
      Object.assign(this, { sampleRate, tell, at: 0, hops: 0, onsetMean: 0, onsetSquare: 0, lastBeat: -9, gaps: [], sections: 0, lastSection: 0 });
      this.ring = new Float32Array(Hearing.chromaWindow * 2);
      this.spectrum = new Spectrum(Hearing.window);
      this.fine = new Spectrum(Hearing.chromaWindow);
      this.mels = Hearing.melFilters(sampleRate, 64);
      const count = this.mels.length;
      const bandOf = (hz) => Hearing.bands.findIndex(([low, high]) => hz >= low && hz < high);
      this.melBands = this.mels.map(({ center }) => bandOf(center));
      this.binBands = Array.from({ length: Hearing.window / 2 + 1 }, (_, k) => bandOf((k * sampleRate) / Hearing.window));
      this.parts = { percussive: 0, onset: 0, harmonic: 0 };
      this.column = new Float32Array(17);
      this.row = new Float32Array(11);
      this.loud = new Float32Array(count);
      this.drums = new Float32Array(count);
      this.past = Array.from({ length: 17 }, () => new Float32Array(count));
      this.chroma = new Float32Array(12);
      this.fast = new Float32Array(8);
      this.slow = new Float32Array(8);
      this.values = new Float32Array(Hearing.names.length);
    }

    /** Triangles that are evenly spaced in pitch as it is heard: [{center, bins: [[k, weight]]}]. */
    static melFilters(sampleRate, count) {
      const toMel = (hz) => 2595 * Math.log10(1 + hz / 700);
      const toHz = (mel) => 700 * (10 ** (mel / 2595) - 1);
      const top = toMel(Math.min(12000, sampleRate / 2));
      const edges = Array.from({ length: count + 2 }, (_, i) => toHz((top * i) / (count + 1)));
      return Array.from({ length: count }, (_, i) => {
        const [low, center, high] = edges.slice(i, i + 3);
        const bins = [];
        for (let k = 0; k <= Hearing.window / 2; k += 1) {
          const hz = (k * sampleRate) / Hearing.window;
          const weight = Math.min((hz - low) / (center - low), (high - hz) / (high - center));
          if (weight > 0) bins.push([k, weight]);
        }
        if (!bins.length) bins.push([Math.round((center * Hearing.window) / sampleRate), 1]);
        return { center, bins };
      });
    }

    get seconds() {
      return (this.hops * Hearing.hop) / this.sampleRate;
    }

    push(samples) {
      const mask = this.ring.length - 1;
      for (const sample of samples) {
        this.ring[this.at & mask] = sample;
        this.at += 1;
        if (this.at % Hearing.hop === 0) this.hear();
      }
    }

    hear() {
      this.hops += 1;
      const power = this.spectrum.read(this.ring, this.at);
      const [level, bands, centroid] = this.readLevels(power);
      const amplitudes = this.mels.map(({ bins }) => Math.sqrt(bins.reduce((sum, [k, weight]) => sum + weight * power[k], 0)));
      const onsets = this.readOnsets(amplitudes);
      this.readParts(amplitudes);
      const { parts } = this;
      if (this.hops % 4 === 0) this.readChroma(this.fine.read(this.ring, this.at));
      this.values.set([level, ...bands, ...onsets, parts.percussive, parts.onset, parts.harmonic, centroid, ...this.readBeat(onsets[0]), ...this.readSection(), ...this.chroma]);
      this.tell(this.values);
    }

    readLevels(power) {
      const hz = this.sampleRate / Hearing.window;
      const sums = [0, 0, 0];
      let [total, moment] = [0, 0];
      for (let k = 0; k < power.length; k += 1) {
        total += power[k];
        moment += power[k] * k * hz;
        const band = this.binBands[k];
        if (band >= 0) sums[band] += power[k];
      }
      const amplitude = (sum) => Math.sqrt(sum / 3);
      return [amplitude(total), sums.map(amplitude), total > Hearing.floor ? moment / total : 0];
    }

    static loudness(amplitude) {
      return Math.log10(1 + (amplitude * amplitude) / Hearing.floor);
    }

    /** How much louder it got since the hop before: over all, and in each band. */
    readOnsets(amplitudes) {
      const [sums, counts] = [[0, 0, 0, 0], [0, 0, 0, 0]];
      amplitudes.forEach((amplitude, i) => {
        const loud = Hearing.loudness(amplitude);
        const rise = Math.max(0, loud - this.loud[i]);
        this.loud[i] = loud;
        const place = this.melBands[i] + 1;
        sums[0] += rise;
        counts[0] += 1;
        if (place) {
          sums[place] += rise;
          counts[place] += 1;
        }
      });
      return sums.map((sum, place) => (this.hops > 1 ? sum / Math.max(1, counts[place]) : 0));
    }

    /** What lasts is harmonic, what is broad is percussive (FitzGerald 2010, with medians of the past only). */
    readParts(amplitudes) {
      const { past, column, row, drums } = this;
      const count = amplitudes.length;
      past[this.hops % past.length].set(amplitudes);
      let [harmonic, percussive, onset] = [0, 0, 0];
      for (let i = 0; i < count; i += 1) {
        for (let n = 0; n < past.length; n += 1) column[n] = past[n][i];
        for (let n = 0; n < row.length; n += 1) {
          const at = i + n - 5;
          row[n] = amplitudes[at < 0 ? -at - 1 : at < count ? at : 2 * count - 1 - at];
        }
        const lasts = column.sort()[column.length >> 1] ** 2;
        const broad = row.sort()[row.length >> 1] ** 2;
        const kept = (amplitudes[i] * lasts) / (lasts + Hearing.margins[0] * broad + 1e-12);
        const struck = (amplitudes[i] * broad) / (broad + Hearing.margins[1] * lasts + 1e-12);
        harmonic += kept * kept;
        percussive += struck * struck;
        const loud = Hearing.loudness(struck);
        onset += Math.max(0, loud - drums[i]);
        drums[i] = loud;
      }
      this.parts = { harmonic: Math.sqrt(harmonic), percussive: Math.sqrt(percussive), onset: this.hops > 1 ? onset / count : 0 };
    }

    /** Shares of the twelve pitch classes from C upwards, from the peaks of a long window. */
    readChroma(power) {
      const hz = this.sampleRate / Hearing.chromaWindow;
      const shares = new Float32Array(12);
      for (let k = Math.ceil(80 / hz); k < Math.min(5000 / hz, power.length - 1); k += 1) {
        if (power[k] <= power[k - 1] || power[k] < power[k + 1] || power[k] < Hearing.floor / 10) continue;
        const [a, b, c] = [power[k - 1], power[k], power[k + 1]].map((value) => Math.log(value + 1e-20));
        const pitch = 69 + 12 * Math.log2(((k + (0.5 * (a - c)) / (a - 2 * b + c)) * hz) / 440);
        const weight = power[k] * Math.exp(-0.5 * ((pitch - 72) / 24) ** 2);
        const below = Math.floor(pitch);
        shares[((below % 12) + 12) % 12] += weight * (1 - pitch + below);
        shares[(((below + 1) % 12) + 12) % 12] += weight * (pitch - below);
      }
      const total = shares.reduce((sum, share) => sum + share, 0);
      this.chroma = shares.map((share) => (total > Hearing.floor ? share / total : 0));
    }

    /** A strong onset is taken for a beat; the phase goes on at the pace of the last ones. */
    readBeat(onset) {
      const share = Hearing.hop / this.sampleRate / 1.5;
      const deviation = Math.sqrt(Math.max(0, this.onsetSquare - this.onsetMean ** 2));
      const since = this.seconds - this.lastBeat;
      const isBeat = this.hops > 8 && since > 0.27 && onset > 0.1 && onset > this.onsetMean + 1.5 * deviation;
      this.onsetMean += share * (onset - this.onsetMean);
      this.onsetSquare += share * (onset * onset - this.onsetSquare);
      if (isBeat) {
        if (since < 2) this.gaps = [...this.gaps, since].slice(-8);
        this.lastBeat = this.seconds;
        return [1, 0];
      }
      const gap = [...this.gaps].sort((a, b) => a - b)[this.gaps.length >> 1];
      return [0, gap && since < 2 * gap ? (since / gap) % 1 : 0];
    }

    /** A new section begins when what is heard differs for long from what was heard before. */
    readSection() {
      const seconds = Hearing.hop / this.sampleRate;
      let distance = 0;
      for (let group = 0; group < 8; group += 1) {
        let sum = 0;
        for (let i = 0; i < 8; i += 1) sum += this.loud[group * 8 + i] / 8;
        this.fast[group] += (seconds / 2) * (sum - this.fast[group]);
        this.slow[group] += (seconds / 12) * (sum - this.slow[group]);
        distance += Math.abs(this.fast[group] - this.slow[group]) / 8;
      }
      const isNew = distance > 0.6 && this.seconds > 8 && this.seconds - this.lastSection > 8;
      if (isNew) {
        this.sections += 1;
        this.lastSection = this.seconds;
        this.slow.set(this.fast);
      }
      return [(this.sections % 4) / 3, isNew ? 1 : 0];
    }
  }

  /** The worklet: the same classes, fed with what comes in, mixed to one channel. */
  const WORKLET = `
    "use strict";
    const Spectrum = ${Spectrum};
    const Hearing = ${Hearing};
    registerProcessor("studio-hearing", class extends AudioWorkletProcessor {
      constructor() {
        super();
        this.hearing = new Hearing(sampleRate, (values) => this.port.postMessage(values.slice()));
        this.port.onmessage = () => { this.isOver = true; };
      }
      process([channels]) {
        const [first, ...others] = channels;
        if (first) this.hearing.push(others.length ? first.map((sample, i) => (sample + others.reduce((sum, other) => sum + other[i], 0)) / (1 + others.length)) : first);
        return !this.isOver;
      }
    });`;

  Object.assign(window.studio, { Hearing, hearingWorklet: WORKLET });
})();
