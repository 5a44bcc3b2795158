/* Live pictures: the camera, a loop that keeps two pictures on their way and never a queue, and a recorder with true times.
 * Newest wins: a picture that arrives after a newer one is not shown. Knows neither models nor the page around it. */
(() => {
  "use strict";
  const { h, decode } = window.studio;
  const IN_FLIGHT = 2;
  const RATE_WINDOW = 2000;
  const RATE_SPAN = 1000;
  const RATE_FEWEST = 4;
  const RATE_PAUSE = 1000;
  const TOLD_EVERY = 300;
  const BITS_PER_PIXEL = 6;

  class CameraError extends Error {}

  const REASONS = {
    NotAllowedError: "The browser does not let this page use the camera. Allow the camera beside the address, then start again.",
    NotFoundError: "No camera was found. Connect one, then start again.",
    NotReadableError: "The camera does not answer, perhaps because another program uses it. Close that program, then start again.",
    OverconstrainedError: "This camera is not there any more. Choose another one, then start again.",
  };
  const INSECURE = "Browsers open the camera only for pages on this computer or on https. Open the studio as http://127.0.0.1 or through https.";

  /** The browser's camera. open() throws CameraError with the sentence to show; close() frees it. */
  class Camera {
    constructor() {
      this.video = h("video", { muted: true, playsInline: true });
      this.video.setAttribute("playsinline", "");
      this.stream = null;
      this.onEnded = null;
    }

    get isOpen() {
      return !!this.stream;
    }

    async open(deviceId = "") {
      this.close();
      if (!navigator.mediaDevices?.getUserMedia) throw new CameraError(INSECURE);
      const ticket = (this.ticket = {});
      const video = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 }, ...(deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "user" }) };
      let stream;
      try {
        stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
      } catch (error) {
        throw new CameraError(REASONS[error.name] || `The camera could not be opened (${error.name}). Check that it works in another program.`);
      }
      if (this.ticket !== ticket) {
        stream.getTracks().forEach((track) => track.stop());
        return false;
      }
      this.stream = stream;
      stream.getVideoTracks()[0].addEventListener("ended", () => { if (this.stream === stream) this.onEnded?.(); });
      this.video.srcObject = stream;
      await this.video.play().catch(() => {});
      return this.stream === stream;
    }

    close() {
      this.ticket = null;
      this.stream?.getTracks().forEach((track) => track.stop());
      this.stream = null;
      this.video.srcObject = null;
    }

    /** The cameras there are, once the browser tells their names: [[id, name]]. */
    async list() {
      const devices = (await navigator.mediaDevices?.enumerateDevices?.()) || [];
      return devices.filter((device) => device.kind === "videoinput" && device.deviceId).map((device, i) => [device.deviceId, device.label || `Camera ${i + 1}`]);
    }

    get deviceId() {
      return this.stream?.getVideoTracks()[0]?.getSettings().deviceId || "";
    }

    /** Wait until there is a picture newer than the last one taken. */
    async fresh() {
      const { video, stream } = this;
      if (video.readyState >= 2 && video.currentTime !== this.taken) return;
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, 250);
        const done = () => { clearTimeout(timer); resolve(); };
        if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(done);
        else setTimeout(done, 16);
      });
      if (stream && this.stream === stream && video.readyState < 2) await this.fresh();
    }

    /** Draw the present picture: side pixels on the shorter side (0: the camera's own), square or whole, mirrored or not. */
    grab({ side = 0, isSquare = true, isMirrored = false }, canvas = document.createElement("canvas")) {
      const { videoWidth: width, videoHeight: height } = this.video;
      this.taken = this.video.currentTime;
      const short = Math.min(width, height);
      const [w, t] = isSquare ? [short, short] : [width, height];
      const scale = (side || short) / short;
      const even = (value) => (side ? Math.round((value * scale) / 4) * 4 : Math.round(value));
      canvas.width = even(w);
      canvas.height = even(t);
      const context = canvas.getContext("2d", { alpha: false });
      context.imageSmoothingQuality = "high";
      if (isMirrored) context.setTransform(-1, 0, 0, 1, canvas.width, 0);
      context.drawImage(this.video, (width - w) / 2, (height - t) / 2, w, t, 0, 0, canvas.width, canvas.height);
      context.setTransform(1, 0, 0, 1, 0, 0);
      return canvas;
    }
  }

  /** How many pictures come in a second and how late, over the last seconds (of slow ones: over the last few). All times in ms. */
  class PictureRate {
    constructor() {
      this.pictures = [];
    }

    /** A picture was shown now that was taken then. Time in which none was asked for is left out: a pause is no slowness. */
    add(now, taken) {
      const { pictures } = this;
      const idle = taken - pictures.at(-1)?.now;
      if (idle > RATE_PAUSE) for (const picture of pictures) picture.now += idle;
      pictures.push({ now, delay: now - taken });
      while (pictures.length > RATE_FEWEST && pictures[0].now < now - RATE_WINDOW) pictures.shift();
    }

    /** Pictures in a second; null while they are too few, or came too close together, to tell. */
    get rate() {
      const { pictures } = this;
      if (pictures.length < RATE_FEWEST) return null;
      const span = pictures.at(-1).now - pictures[0].now;
      return span < RATE_SPAN ? null : ((pictures.length - 1) * 1000) / span;
    }

    /** The middle time from taking a picture to showing it; 0 before the first one. */
    get delay() {
      const delays = this.pictures.map(({ delay }) => delay).sort((a, b) => a - b);
      return delays[delays.length >> 1] ?? 0;
    }
  }

  /** Ask for picture after picture. ask() resolves to {url, ms, wait?, ...} (null: stop); show(image, answer) draws one;
   * onRate({rate, delay, ms}) is told now and then, once there have been enough to tell. */
  class LiveLoop {
    constructor({ ask, show, onRate, onError }) {
      Object.assign(this, { ask, show, onRate, onError, run: null });
    }

    get isRunning() {
      return !!this.run;
    }

    /** How late pictures are at present, in ms. */
    get delay() {
      return this.run?.pace.delay ?? 0;
    }

    start() {
      this.stop();
      const run = (this.run = { next: 0, shown: -1, pace: new PictureRate(), told: 0 });
      for (let place = 0; place < IN_FLIGHT; place += 1) this.keepAsking(run);
    }

    stop() {
      this.run = null;
    }

    async keepAsking(run) {
      try {
        while (this.run === run) {
          const answer = await this.ask(run.next);
          if (this.run !== run) return;
          if (!answer) break;
          if (answer.wait) await new Promise((resolve) => setTimeout(resolve, 1000 * answer.wait));
          else await this.take(run, answer);
        }
      } catch (error) {
        if (this.run !== run) return;
        this.stop();
        this.onError(error);
      }
    }

    async take(run, answer) {
      const image = await decode(answer.url);
      if (this.run !== run || answer.serial <= run.shown) return;
      run.shown = answer.serial;
      this.show(image, answer);
      this.count(run, answer);
    }

    /** Number a picture when it is taken, and note when that was. */
    stamp() {
      const { run } = this;
      return run ? { serial: run.next++, taken: performance.now() } : { serial: 0, taken: 0 };
    }

    count(run, answer) {
      const now = performance.now();
      run.pace.add(now, answer.taken);
      const { rate, delay } = run.pace;
      if (rate === null || now - run.told < TOLD_EVERY) return;
      run.told = now;
      this.onRate({ rate, delay, ms: answer.ms });
    }
  }

  /** A point that travels over the seed plane in a direction that wanders. */
  class Walker {
    constructor() {
      Object.assign(this, { x: 0, y: 0, heading: 0, then: 0, sent: "" });
    }

    begin() {
      Object.assign(this, { then: performance.now(), sent: "" });
    }

    /** Go on by as much time as has passed, at so many seeds a second; says whether it moved. */
    advance(speed) {
      const now = performance.now();
      const seconds = Math.min(0.5, (now - this.then) / 1000);
      this.then = now;
      if (!speed) return false;
      this.heading += (Math.random() - 0.5) * 1.6 * Math.sqrt(seconds);
      this.x += Math.cos(this.heading) * speed * seconds;
      this.y += Math.sin(this.heading) * speed * seconds;
      return true;
    }
  }

  const FORMATS = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm", "video/mp4"];
  const SOUND_FORMATS = ["video/webm;codecs=vp9,opus", "video/webm;codecs=vp8,opus", "video/webm", "video/mp4"];

  /** Record shown pictures as a film in which each stays for as long as it was on the screen, with a sound if one is given. */
  class Recorder {
    static get format() {
      return Recorder.formatFor(false);
    }

    static formatFor(hasSound) {
      return window.MediaRecorder ? (hasSound ? SOUND_FORMATS : FORMATS).find((format) => MediaRecorder.isTypeSupported(format)) : undefined;
    }

    /** Begin with a picture; all later ones are fitted into its size. sound: a track of audio that goes into the film. */
    constructor(image, { scale = 2, sound = null } = {}) {
      const even = (value) => Math.max(2, Math.round((value * scale) / 2) * 2);
      this.canvas = h("canvas", { width: even(image.naturalWidth || image.width), height: even(image.naturalHeight || image.height) });
      this.context = this.canvas.getContext("2d", { alpha: false });
      this.context.imageSmoothingQuality = "high";
      this.chunks = [];
      this.began = performance.now();
      const stream = this.canvas.captureStream(0);
      [this.track] = stream.getVideoTracks();
      if (!this.track.requestFrame) [this.track] = this.canvas.captureStream().getVideoTracks();
      const bits = Math.min(4e7, Math.max(2e6, this.canvas.width * this.canvas.height * BITS_PER_PIXEL));
      this.recorder = new MediaRecorder(new MediaStream([this.track, ...(sound ? [sound] : [])]), { mimeType: Recorder.formatFor(!!sound), videoBitsPerSecond: bits });
      this.recorder.addEventListener("dataavailable", (event) => { if (event.data.size) this.chunks.push(event.data); });
      this.recorder.start(1000);
      this.add(image);
    }

    get seconds() {
      return (performance.now() - this.began) / 1000;
    }

    add(image) {
      const { canvas, context } = this;
      const scale = Math.min(canvas.width / (image.naturalWidth || image.width), canvas.height / (image.naturalHeight || image.height));
      const [w, t] = [(image.naturalWidth || image.width) * scale, (image.naturalHeight || image.height) * scale];
      if (w < canvas.width - 1 || t < canvas.height - 1) context.fillRect(0, 0, canvas.width, canvas.height);
      context.drawImage(image, (canvas.width - w) / 2, (canvas.height - t) / 2, w, t);
      this.last = image;
      this.track.requestFrame?.();
    }

    /** End; the last picture is repeated so that it keeps its time. Returns the film as a File. */
    async end(name) {
      this.add(this.last);
      await new Promise((resolve) => setTimeout(resolve, 60));
      const ended = new Promise((resolve) => this.recorder.addEventListener("stop", resolve, { once: true }));
      this.recorder.stop();
      await ended;
      this.track.stop();
      const type = this.recorder.mimeType.split(";")[0] || "video/webm";
      return new File(this.chunks, `${name}.${type === "video/mp4" ? "mp4" : "webm"}`, { type });
    }
  }

  Object.assign(window.studio, { Camera, CameraError, LiveLoop, PictureRate, Recorder, Walker });
})();
