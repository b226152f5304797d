// A virtual detector on the mean pattern of a stored scan, whose sums become an image of the live page.

const SHAPES = [
  ["ring", "Ring", "Click on the mean pattern to move the centre of the ring."],
  ["rectangle", "Rectangle", "Drag on the mean pattern from one corner to the opposite one."],
  ["ellipse", "Ellipse", "Drag on the mean pattern across the ellipse, from one corner of its frame to the opposite one."],
  ["outline", "Outline", "Drag on the mean pattern around the pixels that count."],
  ["file", "Mask from a file", "Choose a .npy file with one weight for each pixel of a pattern, or a .png file, in which black pixels do not count."],
];

class Detector {
  constructor(app, server, { mean, y, x, radius }) {
    Object.assign(this, { app, server, mean, shape: "ring", corners: [], ring: { y, x, inner: 0, outer: radius } });
    this.zoom = Math.max(1, Math.round(320 / Math.max(mean.w, mean.h)));
    this.canvas = element("canvas", { id: "x-detector", width: mean.w * this.zoom, height: mean.h * this.zoom, role: "img", "aria-label": "Mean diffraction pattern with the outline of the detector" });
    const most = Math.hypot(mean.w, mean.h);
    this.rings = element("span", {}, this.slider("inner", most), this.slider("outer", most));
    this.file = element("input", { type: "file", id: "x-detector-file", accept: ".npy,.png", "aria-label": "File of the mask" });
    this.file.addEventListener("change", () => this.load());
    const shapes = app.controls.choice("x-shape", SHAPES, (shape) => this.choose(shape));
    this.help = element("p", {});
    const bar = element("div", { className: "bar" }, app.controls.labelled("Shape", shapes), this.rings, this.file);
    this.node = element("section", {}, element("h3", {}, "Virtual detector"), this.help, bar, this.canvas);
    for (const name of ["down", "move", "up"]) this.canvas.addEventListener(`pointer${name}`, (event) => this[name](event));
    this.canvas.addEventListener("pointercancel", () => { this.isDown = false; });
  }

  slider(name, most) {
    const made = element("input", { type: "range", id: `x-${name}`, min: 0, max: most, step: 0.5 });
    made.value = this.ring[name];
    made.addEventListener("input", () => this.set({ [name]: Number(made.value) }));
    return element("label", {}, `${name} radius [px] `, made, " ");
  }

  async open() {
    this.stack = await unpackStack(this.mean);
    this.background = this.picture();
    this.choose("ring");
  }

  choose(shape) {
    Object.assign(this, { shape, corners: [] });
    this.rings.hidden = shape !== "ring";
    this.file.hidden = shape !== "file";
    this.help.textContent = `${SHAPES.find(([name]) => name === shape)[2]} The image of the detector appears among the images.`;
    this.draw();
  }

  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const y = ((event.clientY - box.y) / box.height) * this.mean.h - 0.5;
    const x = ((event.clientX - box.x) / box.width) * this.mean.w - 0.5;
    return [y, x];
  }

  down(event) {
    if (this.shape === "file") return;
    this.canvas.setPointerCapture(event.pointerId);
    this.isDown = true;
    this.corners = [this.placeOf(event)];
  }

  move(event) {
    if (!this.isDown || this.shape === "ring") return;
    const place = this.placeOf(event);
    if (this.shape === "outline") this.corners.push(place);
    else this.corners = [this.corners[0], place];
    this.draw();
  }

  up(event) {
    if (!this.isDown) return;
    this.isDown = false;
    const [y, x] = this.placeOf(event);
    if (this.shape === "ring") this.set({ y, x });
    else if (this.corners.length > (this.shape === "outline" ? 2 : 1)) this.update({ shape: this.shape, corners: this.corners });
  }

  set(change) {
    Object.assign(this.ring, change);
    this.draw();
    this.update({ ...this.ring });
  }

  /** Send the chosen file; the server reads it. */
  async load() {
    const [file] = this.file.files;
    if (!file) return;
    const bytes = new Uint8Array(await file.arrayBuffer());
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    this.update({ shape: "file", content: btoa(text) });
  }

  /** The mean pattern in grey. */
  picture() {
    const { w, h, pixels } = this.stack;
    const small = element("canvas", { width: w, height: h });
    const image = new ImageData(w, h);
    const colours = new Uint32Array(image.data.buffer);
    const last = pixels.reduce((most, code) => (code === UNKNOWN_PIXEL ? most : Math.max(most, code)), 1);
    pixels.forEach((code, at) => {
      const grey = Math.round((255 * Math.min(code, last)) / last);
      colours[at] = packedColour(grey, grey, grey);
    });
    small.getContext("2d").putImageData(image, 0, 0);
    return small;
  }

  draw() {
    const context = this.canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(this.background, 0, 0, this.canvas.width, this.canvas.height);
    for (const [style, width] of [[HALO, 4], ["#d55e00", 2]]) {
      Object.assign(context, { strokeStyle: style, lineWidth: width });
      for (const path of this.paths()) context.stroke(path);
    }
  }

  /** Outlines of the detector on the canvas. */
  paths() {
    const places = this.corners.map(([y, x]) => [(x + 0.5) * this.zoom, (y + 0.5) * this.zoom]);
    if (this.shape === "ring") return ["inner", "outer"].map((name) => this.circle(this.ring[name]));
    if (places.length < 2) return [];
    const path = new Path2D();
    const [[x0, y0], [x1, y1]] = places;
    if (this.shape === "rectangle") path.rect(x0, y0, x1 - x0, y1 - y0);
    else if (this.shape === "ellipse") path.ellipse((x0 + x1) / 2, (y0 + y1) / 2, Math.abs(x1 - x0) / 2, Math.abs(y1 - y0) / 2, 0, 0, 7);
    else for (const [x, y] of places) path.lineTo(x, y);
    if (this.shape === "outline") path.closePath();
    return [path];
  }

  circle(radius) {
    const path = new Path2D();
    path.arc((this.ring.x + 0.5) * this.zoom, (this.ring.y + 0.5) * this.zoom, radius * this.zoom, 0, 7);
    return path;
  }

  /** Ask for the newest detector only. */
  async update(question) {
    this.wanted = question;
    if (this.isAsking) return;
    this.isAsking = true;
    try {
      while (this.wanted) {
        const asked = this.wanted;
        this.wanted = null;
        await this.app.addChannel(await this.server.ask("detector", asked));
        liveStatus.textContent = "";
      }
    } catch (error) {
      liveStatus.textContent = error.message;
    } finally {
      this.isAsking = false;
    }
  }
}
