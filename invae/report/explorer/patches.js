// The patch of a site, its reconstruction and their difference.

const BOXES = [
  ["patch", "patch"],
  ["reconstruction", "reconstruction"],
  ["difference", "patch − reconstruction"],
  ["decoded", "decoded, upright"],
];

class Patches {
  constructor(app) {
    this.app = app;
    const { w, h } = app.data.patch;
    this.size = w * h;
    this.isCurve = h === 1;
    this.boxes = {};
    this.node = element("div", { className: this.isCurve ? "patches curves" : "patches" });
    for (const [name, words] of BOXES) {
      const size = this.isCurve ? { width: 480, height: 200 } : { width: w, height: h };
      const canvas = element("canvas", { ...size, id: `x-${name}`, role: "img", "aria-label": words });
      this.boxes[name] = canvas.getContext("2d");
      this.node.append(element("figure", {}, canvas, element("figcaption", {}, words)));
    }
    this.note = element("p", { className: "note" });
  }

  /** Show a site; −1 clears the boxes. */
  show(site) {
    if (site < 0) return this.fill({}, "");
    const patch = this.patchOf(site);
    const upright = this.uprightOf(site);
    const reconstruction = this.posed(upright, site);
    const difference = patch && patch.map((value, at) => value - reconstruction[at]);
    this.fill({ patch, reconstruction, difference, decoded: upright }, patch ? "" : this.reason());
  }

  /** Show what the model decodes at a place of the latent plane. */
  showDecoded(decoded) {
    this.fill({ decoded }, "");
  }

  fill(pictures, note) {
    for (const [name] of BOXES) this.draw(name, pictures[name]);
    this.note.textContent = note;
  }

  reason() {
    return this.app.data.stored
      ? "This page holds the patches of some sites only, and not that of this one."
      : "The image of this frame is not in the result, so that its patches cannot be shown.";
  }

  /** Measured patch of a site, or null if the page does not hold it. */
  patchOf(site) {
    const { app } = this;
    if (app.stored) {
      const at = app.storedAt.get(site);
      return at === undefined ? null : numbersOf(app.stored, at);
    }
    return this.cut(site);
  }

  /** Cut from the image, in the values that the model reads. */
  cut(site) {
    const { app } = this;
    const { w, h } = app.data.patch;
    const { bin, at } = app.data.image ?? {};
    const index = at ? at[app.frameOf[site]] : -1;
    const gain = app.role("gain", site, NaN);
    if (index < 0 || !Number.isFinite(gain)) return null;
    const stack = app.channels[0];
    const picture = app.numbers(0, index);
    const answer = new Float32Array(this.size);
    for (let v = 0; v < h; v++) {
      for (let u = 0; u < w; u++) {
        const x = app.role("x", site) + u - (w - 1) / 2;
        const y = app.role("y", site) + v - (h - 1) / 2;
        const value = sampled(picture, stack.w, stack.h, (x + 0.5) / bin - 0.5, (y + 0.5) / bin - 0.5);
        answer[v * w + u] = gain * value + app.role("offset", site);
      }
    }
    return answer;
  }

  /** Upright reconstruction of a site. */
  uprightOf(site) {
    const { app } = this;
    const { parts } = app;
    if (!parts) return this.decodedAt(app.placeOf(site), app.role("member", site));
    const answer = new Float32Array(this.size);
    for (let part = 0; part < parts.parts; part++) {
      const weight = parts.lo[part] + parts.codes[part * parts.n + site] * parts.step[part];
      for (let i = 0; i < this.size; i++) answer[i] += weight * parts.pictures[part * this.size + i];
    }
    return answer;
  }

  /** Between the decoded nodes of a class. */
  decodedAt(place, member) {
    const { nodes } = this.app;
    const sides = nodes.axes.map((axis, at) => {
      const share = axis.n > 1 ? ((place[at] - axis.lo) / (axis.hi - axis.lo)) * (axis.n - 1) : 0;
      const inside = Math.max(0, Math.min(axis.n - 1, share));
      const first = Math.min(Math.floor(inside), Math.max(0, axis.n - 2));
      return [first, inside - first];
    });
    const [[i, a], [j, b]] = sides;
    const n = nodes.axes.map((axis) => axis.n);
    const answer = new Float32Array(this.size);
    for (const [di, dj, weight] of [[0, 0, (1 - a) * (1 - b)], [1, 0, a * (1 - b)], [0, 1, (1 - a) * b], [1, 1, a * b]]) {
      if (weight === 0) continue;
      const picture = numbersOf(nodes, (member * n[0] + i + di) * n[1] + j + dj);
      for (let at = 0; at < this.size; at++) answer[at] += weight * picture[at];
    }
    return answer;
  }

  /** An upright picture with the pose of a site: shift, turn, magnification and shear, as in the model. */
  posed(upright, site) {
    const { app } = this;
    const { w, h } = app.data.patch;
    const angle = app.role("angle", site, 0);
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const scale = app.role("scale", site, 1);
    const lean = Math.tan(app.role("shear", site, 0));
    const answer = new Float32Array(this.size);
    for (let v = 0; v < h; v++) {
      for (let u = 0; u < w; u++) {
        const y = this.isCurve ? 0 : v - (h - 1) / 2 - app.role("shift_y", site, 0);
        const x = u - (w - 1) / 2 - app.role("shift_x", site, 0);
        const down = (cos * y + sin * x) / scale;
        const right = (cos * x - sin * y) / scale - lean * down;
        answer[v * w + u] = sampled(upright, w, h, right + (w - 1) / 2, down + (h - 1) / 2);
      }
    }
    return answer;
  }

  draw(name, values) {
    const context = this.boxes[name];
    const { width, height } = context.canvas;
    context.clearRect(0, 0, width, height);
    if (!values) return;
    if (this.isCurve) this.drawCurve(context, values, name);
    else this.drawPicture(context, values, name);
  }

  drawPicture(context, values, name) {
    const { lo, hi } = this.app.data.patch;
    const image = context.createImageData(context.canvas.width, context.canvas.height);
    const pixels = new Uint32Array(image.data.buffer);
    const { signed } = this.app.tables;
    const isDifference = name === "difference";
    for (let i = 0; i < pixels.length; i++) {
      const share = isDifference ? 0.5 + values[i] / (hi - lo) : (values[i] - lo) / (hi - lo);
      if (!Number.isFinite(share)) continue;
      const inside = Math.max(0, Math.min(1, share));
      const grey = Math.round(inside * 255);
      pixels[i] = isDifference ? signed[Math.round(inside * (signed.length - 1))] : packedColour(grey, grey, grey);
    }
    context.putImageData(image, 0, 0);
  }

  drawCurve(context, values, name) {
    const { width, height } = context.canvas;
    const { lo, hi } = this.app.data.patch;
    const span = (hi - lo) * 1.1;
    const middle = name === "difference" ? 0 : (lo + hi) / 2;
    context.strokeStyle = INK;
    context.lineWidth = 3;
    context.beginPath();
    values.forEach((value, at) => {
      if (!Number.isFinite(value)) return;
      context.lineTo((at / Math.max(1, values.length - 1)) * width, (0.5 - (value - middle) / span) * height);
    });
    context.stroke();
  }
}
