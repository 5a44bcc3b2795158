/* The microphone or a sound file, heard in the browser: features between silence and full, as measured against the last seconds.
 * No sound leaves this page but into a recording that was asked for. */
(() => {
  "use strict";
  const { h, Hearing, hearingWorklet } = window.studio;
  const SPAN = 20;
  const RENEWED = 250;
  const SHORT = new Set(["onset", "onset_low", "onset_mid", "onset_high", "percussive_onset", "beat", "section_change"]);
  const FIXED = new Set(["beat", "beat_phase", "section", "section_change"]);
  const FLOORS = { onset: 0.15, onset_low: 0.2, onset_mid: 0.15, onset_high: 0.15, percussive_onset: 0.1, centroid: 300 };
  const FLOOR = 0.004;
  const CHROMA_FLOOR = 0.1;

  class EarsError extends Error {}

  const REASONS = {
    NotAllowedError: "The browser does not let this page use the microphone. Allow it beside the address, then start again; or play a sound file.",
    NotFoundError: "No microphone was found. Connect one, then start again; or play a sound file.",
    NotReadableError: "The microphone does not answer, perhaps because another program uses it. Close that program, then start again.",
    OverconstrainedError: "This microphone is not there any more. Choose another one, then start again.",
  };
  const INSECURE = "Browsers listen only for pages on this computer or on https. Open the studio as http://127.0.0.1 or through https.";

  /** The range of one feature over the last seconds: its least, and a percentile of its peaks (what a film's envelope takes from the whole). */
  class Range {
    constructor(name, perSecond) {
      this.floor = FLOORS[name] ?? (name.startsWith("chroma.") ? CHROMA_FLOOR : FLOOR);
      this.values = new Float32Array(Math.max(8, Math.round(SPAN * perSecond)));
      this.count = 0;
      this.found = new Map();
      this.when = -Infinity;
    }

    push(value) {
      this.values[this.count % this.values.length] = value;
      this.count += 1;
    }

    ends(clip) {
      const now = performance.now();
      if (now - this.when > RENEWED) {
        this.when = now;
        this.found.clear();
        this.sort();
      }
      if (!this.found.has(clip)) {
        const { peaks } = this;
        const at = ((peaks.length - 1) * clip) / 100;
        const [below, above] = [peaks[Math.floor(at)], peaks[Math.ceil(at)]];
        this.found.set(clip, peaks.length ? below + (above - below) * (at % 1) : this.low);
      }
      return [this.low, this.found.get(clip)];
    }

    sort() {
      const length = Math.min(this.count, this.values.length);
      const start = this.count > length ? this.count % length : 0;
      const at = (i) => this.values[(start + i) % length];
      this.low = Infinity;
      for (let i = 0; i < length; i += 1) this.low = Math.min(this.low, at(i));
      if (!length) this.low = 0;
      const peaks = [];
      for (let i = 0; i < length; i += 1) {
        const value = at(i);
        if (value > this.low && (i === 0 || value >= at(i - 1)) && (i === length - 1 || value >= at(i + 1))) peaks.push(value);
      }
      this.peaks = Float32Array.from(peaks).sort();
    }

    /** A value between silence and full, 0 to 1. */
    share(value, clip) {
      const [low, high] = this.ends(clip);
      return Math.min(1, Math.max(0, (value - low) / Math.max(high - low, this.floor)));
    }
  }

  /** Hears; open...() throws EarsError with the sentence to show, close() frees everything. */
  class Ears {
    constructor() {
      this.context = null;
      this.stream = null;
      this.onEnded = null;
      this.forget();
    }

    forget() {
      this.ranges = new Map();
      this.sums = new Map();
      this.last = new Map();
      this.hops = 0;
    }

    get isOpen() {
      return !!this.context;
    }

    get deviceId() {
      return this.stream?.getAudioTracks()[0]?.getSettings().deviceId || "";
    }

    /** The microphones there are, once the browser tells their names: [[id, name]]. */
    async list() {
      const devices = (await navigator.mediaDevices?.enumerateDevices?.()) || [];
      return devices.filter((device) => device.kind === "audioinput" && device.deviceId).map((device, i) => [device.deviceId, device.label || `Microphone ${i + 1}`]);
    }

    /** Listen to the microphone as it is, without what telephones do to voices. Says whether it is still wanted. */
    async openMicrophone(deviceId = "") {
      this.close();
      if (!navigator.mediaDevices?.getUserMedia) throw new EarsError(INSECURE);
      const ticket = (this.ticket = {});
      const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, ...(deviceId ? { deviceId: { exact: deviceId } } : {}) };
      let stream;
      try {
        stream = await navigator.mediaDevices.getUserMedia({ audio, video: false });
      } catch (error) {
        throw new EarsError(REASONS[error.name] || `The microphone could not be opened (${error.name}). Check that it works in another program.`);
      }
      if (this.ticket !== ticket) {
        stream.getTracks().forEach((track) => track.stop());
        return false;
      }
      this.stream = stream;
      stream.getAudioTracks()[0].addEventListener("ended", () => { if (this.stream === stream) this.onEnded?.(); });
      return this.hearFrom((context) => context.createMediaStreamSource(stream), ticket);
    }

    /** Play a sound file aloud, round and round, and listen to it. */
    async openFile(file) {
      this.close();
      const ticket = (this.ticket = {});
      this.audio = h("audio", { loop: true });
      this.url = URL.createObjectURL(file);
      this.audio.src = this.url;
      if (!(await this.hearFrom((context) => context.createMediaElementSource(this.audio), ticket))) return false;
      this.source.connect(this.context.destination);
      try {
        await this.audio.play();
      } catch (error) {
        if (this.ticket !== ticket) return false;
        this.close();
        throw new EarsError(`This browser cannot play ${file.name}. Choose a sound file such as MP3, WAV, FLAC or Ogg.`);
      }
      return this.ticket === ticket;
    }

    async hearFrom(makeSource, ticket) {
      const context = (this.context = new AudioContext({ latencyHint: "interactive" }));
      if (!context.audioWorklet) {
        this.close();
        throw new EarsError(INSECURE);
      }
      context.resume();
      const code = URL.createObjectURL(new Blob([hearingWorklet], { type: "text/javascript" }));
      try {
        await context.audioWorklet.addModule(code);
      } finally {
        URL.revokeObjectURL(code);
      }
      if (this.ticket !== ticket) {
        if (context.state !== "closed") context.close();
        return false;
      }
      this.forget();
      this.perSecond = context.sampleRate / Hearing.hop;
      this.source = makeSource(context);
      this.node = new AudioWorkletNode(context, "studio-hearing", { numberOfInputs: 1, numberOfOutputs: 1 });
      this.node.port.onmessage = ({ data }) => this.hear(data);
      this.source.connect(this.node).connect(context.destination);
      return true;
    }

    hear(values) {
      this.hops += 1;
      Hearing.names.forEach((name, i) => {
        const value = values[i];
        if (!this.ranges.has(name)) this.ranges.set(name, new Range(name, this.perSecond));
        this.ranges.get(name).push(value);
        const sum = this.sums.get(name) || { total: 0, count: 0, most: 0 };
        this.sums.set(name, { total: sum.total + value, count: sum.count + 1, most: Math.max(sum.most, value) });
        this.last.set(name, value);
      });
    }

    share(name, clip, value) {
      if (value === undefined) return 0;
      return FIXED.has(name) ? value : this.ranges.get(name).share(value, clip);
    }

    /** What one feature is at this moment, 0 to 1. */
    level(name, clip = 97) {
      return this.share(name, clip, this.last.get(name));
    }

    /** What was heard since the last time: of what is short the most, of all else the mean. pairs: [[feature, clip]]. */
    take(pairs) {
      const found = pairs.map(([name, clip]) => {
        const sum = this.sums.get(name);
        const value = SHORT.has(name) ? sum?.most ?? 0 : sum?.count ? sum.total / sum.count : this.last.get(name);
        return [name, clip, Number(this.share(name, clip, this.ranges.has(name) ? value : undefined).toFixed(4))];
      });
      this.sums.clear();
      return found;
    }

    /** The sound as a track to be recorded, so many seconds late as the pictures are. */
    track(delay = 0) {
      if (!this.source) return null;
      const late = this.context.createDelay(2);
      late.delayTime.value = Math.min(2, Math.max(0, delay));
      const target = this.context.createMediaStreamDestination();
      this.source.connect(late).connect(target);
      return target.stream.getAudioTracks()[0];
    }

    /** Stop listening: the microphone is free, the file is silent. */
    close() {
      this.ticket = null;
      this.stream?.getTracks().forEach((track) => track.stop());
      this.node?.port.postMessage("end");
      if (this.node) this.node.port.onmessage = null;
      this.audio?.pause();
      if (this.url) URL.revokeObjectURL(this.url);
      if (this.context && this.context.state !== "closed") this.context.close();
      Object.assign(this, { context: null, stream: null, source: null, node: null, audio: null, url: null });
      this.forget();
    }
  }

  Object.assign(window.studio, { Ears, EarsError });
})();
