// A view: sites as dots over an optional picture. Every pixel knows its site, so that pointing costs one look-up.

const INK = "#1b1f24";
const HALO = "#ffffff";
const PALE = 0xffd5d0cc;
const REACH = 9; // [px] pointing finds a site at this distance
const STILL = 4; // [px] a path that never leaves this distance is a click
const RINGS_ABOVE = 14; // [px] between neighbours: dots become rings, so that what lies below stays visible

/** A new element; its text is never read as markup. */
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

class View {
  /** `place`: columns x and y; `box`: their ends; `up`: y points up and both axes have scales of their own. */
  constructor(app, { name, label, x, y, box, up = false, aspect = 1 }) {
    Object.assign(this, { app, name, x, y, box, up, aspect });
    this.path = this.drag = this.pinch = null;
    this.pointers = new Map();
    const named = { className: "base", tabIndex: 0, id: `x-${name}`, role: "application" };
    this.base = element("canvas", { ...named, "aria-label": label, "aria-describedby": "x-keys" });
    this.top = element("canvas", { className: "top", "aria-hidden": "true" });
    this.node = element("div", { className: "view" }, this.base, this.top);
    this.context = this.base.getContext("2d");
    this.dots = document.createElement("canvas");
    this.listen();
  }

  fit() {
    const [x0, y0, x1, y1] = this.box;
    const margin = this.up ? 0.88 : 1;
    this.kx = (margin * this.width) / (x1 - x0);
    this.ky = (margin * this.height) / (y1 - y0);
    if (!this.up) {
      this.kx = Math.min(this.kx, this.ky / this.aspect);
      this.ky = this.kx * this.aspect;
    }
    if (this.up) this.ky = -this.ky;
    this.tx = this.width / 2 - (this.kx * (x0 + x1)) / 2;
    this.ty = this.height / 2 - (this.ky * (y0 + y1)) / 2;
  }

  /** Follow the size of the element; true if it can be drawn upon. */
  resize() {
    const density = Math.min(devicePixelRatio || 1, 2);
    const width = Math.round(this.base.clientWidth * density);
    const height = Math.round(this.base.clientHeight * density);
    if (!width || !height) return false;
    if (width === this.width && height === this.height) return true;
    const ratio = this.width ? width / this.width : 0;
    Object.assign(this, { density, width, height });
    for (const canvas of [this.base, this.top, this.dots]) Object.assign(canvas, { width, height });
    this.image = new ImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.owner = new Int32Array(width * height);
    if (!ratio) this.fit();
    else for (const part of ["kx", "ky", "tx", "ty"]) this[part] *= ratio;
    return true;
  }

  onCanvas(x, y) {
    return [x * this.kx + this.tx, y * this.ky + this.ty];
  }

  placeOf(event) {
    const box = this.base.getBoundingClientRect();
    const x = (event.clientX - box.x) * this.density;
    const y = (event.clientY - box.y) * this.density;
    return [(x - this.tx) / this.kx, (y - this.ty) / this.ky];
  }

  draw() {
    if (!this.resize()) return;
    const { context, app } = this;
    context.fillStyle = "#fff";
    context.fillRect(0, 0, this.width, this.height);
    this.owner.fill(-1);
    this.pixels.fill(0);
    this.below(context);
    if (app.showsSites || this.up) this.drawSites();
    this.dots.getContext("2d").putImageData(this.image, 0, 0);
    context.drawImage(this.dots, 0, 0);
    this.drawTop();
  }

  /** What lies below the sites; the image or the axes. */
  below(context) {
    if (this.up) this.drawAxes(context);
    else this.app.drawFrame(this, context);
  }

  drawSites() {
    const { app } = this;
    const { selected, nSelected, colour, n } = app;
    const mark = this.markOf();
    for (const isFront of [false, true]) {
      for (let i = 0; i < n; i++) {
        const isHere = app.isHere(i);
        if (!this.up && !isHere) continue;
        const inFront = nSelected ? selected[i] === 1 : isHere || app.allFrames;
        if (inFront === isFront) this.stamp(i, mark, isFront ? colour[i] : PALE);
      }
    }
  }

  /** Offsets of the pixels of a dot, and of those that point at it. */
  markOf() {
    const { app, density } = this;
    const count = this.up ? app.n : app.perFrame;
    const spacing = this.up ? 0 : app.spacing * Math.abs(this.kx);
    const isRing = spacing > RINGS_ABOVE * density;
    const full = density * (count > 30000 ? 1 : count > 5000 ? 1.5 : 2.5);
    const outer = isRing ? Math.min(0.42 * spacing, 14 * density) : full;
    const inner = isRing ? outer - 2 * density : -1;
    const reach = Math.ceil(outer);
    const drawn = [];
    const held = [];
    for (let y = -reach; y <= reach; y++) {
      for (let x = -reach; x <= reach; x++) {
        const distance = Math.hypot(x, y);
        if (distance > outer + 0.3) continue;
        held.push(y * this.width + x);
        if (distance >= inner) drawn.push(y * this.width + x);
      }
    }
    return { reach, drawn: Int32Array.from(drawn), held: Int32Array.from(held) };
  }

  stamp(i, { reach, drawn, held }, colour) {
    const x = Math.round(this.x[i] * this.kx + this.tx);
    const y = Math.round(this.y[i] * this.ky + this.ty);
    if (!(x >= reach && y >= reach && x < this.width - reach && y < this.height - reach)) return;
    const middle = y * this.width + x;
    const { owner, pixels } = this;
    for (let at = 0; at < held.length; at++) owner[middle + held[at]] = i;
    for (let at = 0; at < drawn.length; at++) pixels[middle + drawn[at]] = colour;
  }

  /** What moves with the pointer, on a canvas of its own: rings, lasso, cross, scale bar. */
  drawTop() {
    if (!this.width) return;
    const context = this.top.getContext("2d");
    context.clearRect(0, 0, this.width, this.height);
    const { app } = this;
    for (const [site, inner] of [[app.pinned, INK], [app.hovered, "#d00000"]]) {
      if (site >= 0 && (this.up || app.isHere(site))) this.ring(context, site, inner);
    }
    if (this.up && app.walked) this.cross(context, app.walked);
    if (this.path) this.outline(context, () => this.trace(context), true);
    if (!this.up) this.scaleBar(context);
  }

  ring(context, site, colour) {
    const [x, y] = this.onCanvas(this.x[site], this.y[site]);
    const radius = 8 * this.density;
    this.outline(context, () => context.arc(x, y, radius, 0, 7), false, colour);
    if (this.up || !this.app.cutsPatches) return;
    const w = this.app.data.patch.w * Math.abs(this.kx);
    const h = this.app.data.patch.h * Math.abs(this.ky);
    this.outline(context, () => context.rect(x - w / 2, y - h / 2, w, h), false, colour);
  }

  cross(context, [a, b]) {
    const [x, y] = this.onCanvas(a, b);
    const arm = 10 * this.density;
    this.outline(context, () => {
      context.moveTo(x - arm, y);
      context.lineTo(x + arm, y);
      context.moveTo(x, y - arm);
      context.lineTo(x, y + arm);
    });
  }

  trace(context) {
    for (const [a, b] of this.path) context.lineTo(...this.onCanvas(a, b));
  }

  /** A dark line with a light border: visible on every ground. */
  outline(context, shape, isDashed = false, colour = INK) {
    context.setLineDash(isDashed ? [5 * this.density, 3 * this.density] : []);
    for (const [style, width] of [[HALO, 4], [colour, 1.8]]) {
      context.beginPath();
      shape();
      context.strokeStyle = style;
      context.lineWidth = width * this.density;
      context.stroke();
    }
    context.setLineDash([]);
  }

  scaleBar(context) {
    const pixel = this.app.data.image.pixel_nm;
    const size = pixel ? pixel[1] : 1;
    const length = roundLength((this.width / this.kx) * size * 0.25);
    const width = (length / size) * this.kx;
    const [x, y] = [12 * this.density, this.height - 14 * this.density];
    const isLong = pixel && length >= 1000;
    const words = `${isLong ? length / 1000 : length} ${!pixel ? "px" : isLong ? "µm" : "nm"}`;
    context.font = `${12 * this.density}px sans-serif`;
    const textWidth = Math.max(width, context.measureText(words).width);
    context.fillStyle = "rgb(255 255 255 / 80%)";
    context.fillRect(x - 5, y - 18 * this.density, textWidth + 10, 26 * this.density);
    context.fillStyle = INK;
    context.fillRect(x, y, width, 3 * this.density);
    context.textBaseline = "bottom";
    context.fillText(words, x, y - 2 * this.density);
  }

  drawAxes(context) {
    const { density, width, height, app } = this;
    context.font = `${11 * density}px sans-serif`;
    context.strokeStyle = "#e4e8eb";
    context.fillStyle = "#5b6570";
    context.lineWidth = density;
    for (const [isX, k, t, length] of [[true, this.kx, this.tx, width], [false, this.ky, this.ty, height]]) {
      const step = roundLength((length / Math.abs(k)) * 0.3);
      const [first, last] = [(0 - t) / k, (length - t) / k].sort((a, b) => a - b);
      for (let tick = Math.ceil(first / step) * step; tick <= last; tick += step) {
        const at = tick * k + t;
        context.beginPath();
        context.moveTo(isX ? at : 0, isX ? 0 : at);
        context.lineTo(isX ? at : width, isX ? height : at);
        context.stroke();
        const words = shown(Math.abs(tick) < step / 1e6 ? 0 : tick);
        context.textBaseline = "bottom";
        context.fillText(words, isX ? at + 3 * density : 3 * density, isX ? height - 2 * density : at - 2 * density);
      }
    }
    context.fillStyle = INK;
    context.textBaseline = "top";
    context.fillText(`${app.axisTitles[1]} ↑`, 5 * density, 5 * density);
    const right = `${app.axisTitles[0]} →`;
    context.textBaseline = "bottom";
    context.fillText(right, width - context.measureText(right).width - 5 * density, height - 16 * density);
  }

  /** The site at the pointer, or −1. */
  siteAt(event) {
    const box = this.base.getBoundingClientRect();
    const x = Math.round((event.clientX - box.x) * this.density);
    const y = Math.round((event.clientY - box.y) * this.density);
    let best = -1;
    let least = Infinity;
    for (let v = Math.max(-REACH, -y); v <= REACH && y + v < this.height; v++) {
      for (let u = Math.max(-REACH, -x); u <= REACH && x + u < this.width; u++) {
        const site = this.owner[(y + v) * this.width + x + u];
        const distance = u * u + v * v;
        if (site >= 0 && distance < least) [best, least] = [site, distance];
      }
    }
    return best;
  }

  zoom(factor, x, y) {
    this.kx *= factor;
    this.ky *= factor;
    this.tx = x - (x - this.tx) * factor;
    this.ty = y - (y - this.ty) * factor;
    this.app.paint(this);
  }
}
