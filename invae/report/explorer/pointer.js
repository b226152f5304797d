// What pointer, wheel and keys do on a view.

const KEYS = "Arrow keys: nearest site in that direction. Enter: add the site to the selection. [ and ]: frames. "
  + "+, − and 0: zoom. Escape: clear. In the latent plane while walking: arrow keys move the cross.";
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

View.prototype.listen = function () {
  const { base } = this;
  base.addEventListener("pointerdown", (event) => this.press(event));
  base.addEventListener("pointermove", (event) => this.move(event));
  base.addEventListener("pointerup", (event) => this.release(event));
  base.addEventListener("pointercancel", (event) => this.cancel(event));
  base.addEventListener("pointerleave", () => this.app.hover(-1));
  base.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  base.addEventListener("dblclick", () => this.whole());
  base.addEventListener("keydown", (event) => this.key(event));
};

View.prototype.press = function (event) {
  this.pointers.set(event.pointerId, event);
  if (this.pointers.size === 2) return this.startPinch();
  this.base.setPointerCapture(event.pointerId);
  this.down = [event.clientX, event.clientY];
  this.farthest = 0;
  const mode = event.shiftKey ? "lasso" : this.app.mode;
  this.walks = mode === "walk" && this.up;
  if (this.walks) this.app.walk(this.placeOf(event));
  else if (mode === "lasso") this.path = [this.placeOf(event)];
  else if (mode === "move") this.drag = { x: event.clientX, y: event.clientY, tx: this.tx, ty: this.ty };
};

View.prototype.move = function (event) {
  if (this.pointers.has(event.pointerId)) this.pointers.set(event.pointerId, event);
  if (this.pinch) return this.goOnPinching();
  if (!this.down) return this.app.hover(this.siteAt(event));
  const [x, y] = this.down;
  this.farthest = Math.max(this.farthest, Math.hypot(event.clientX - x, event.clientY - y));
  if (this.walks) this.app.walk(this.placeOf(event));
  else if (this.path) {
    this.path.push(this.placeOf(event));
    this.drawTop();
  } else if (this.drag) {
    this.tx = this.drag.tx + (event.clientX - this.drag.x) * this.density;
    this.ty = this.drag.ty + (event.clientY - this.drag.y) * this.density;
    this.app.paint(this);
  }
};

View.prototype.release = function (event) {
  const { path, walks, down, farthest } = this;
  this.cancel(event);
  if (!down || walks) return;
  if (farthest < STILL) this.app.choose(this.siteAt(event));
  else if (path) this.app.select(this.within(path));
};

View.prototype.cancel = function (event) {
  this.pointers.delete(event.pointerId);
  this.path = this.drag = this.down = this.pinch = null;
  this.walks = false;
  this.drawTop();
};

View.prototype.startPinch = function () {
  this.path = this.drag = this.down = null;
  this.pinch = this.fingers();
};

View.prototype.fingers = function () {
  const box = this.base.getBoundingClientRect();
  const [a, b] = [...this.pointers.values()];
  return {
    apart: Math.max(1, Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY)),
    x: ((a.clientX + b.clientX) / 2 - box.x) * this.density,
    y: ((a.clientY + b.clientY) / 2 - box.y) * this.density,
  };
};

View.prototype.goOnPinching = function () {
  const now = this.fingers();
  this.tx += now.x - this.pinch.x;
  this.ty += now.y - this.pinch.y;
  this.zoom(now.apart / this.pinch.apart, now.x, now.y);
  this.pinch = now;
};

/** 1 for every site inside a path; on the image, only for those of the shown frame. */
View.prototype.within = function (path) {
  const { app, x, y } = this;
  const [xs, ys] = [0, 1].map((axis) => path.map((place) => place[axis]));
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const inside = new Uint8Array(app.n);
  for (let i = 0; i < app.n; i++) {
    if (!(x[i] >= left && x[i] <= right && y[i] >= low && y[i] <= high)) continue;
    if ((this.up || app.isHere(i)) && isInside(path, x[i], y[i])) inside[i] = 1;
  }
  return inside;
};

/** The wheel scrolls the page, unless the view has been clicked or Ctrl is pressed. */
View.prototype.wheel = function (event) {
  if (!event.ctrlKey && document.activeElement !== this.base) return;
  event.preventDefault();
  const box = this.base.getBoundingClientRect();
  const x = (event.clientX - box.x) * this.density;
  const y = (event.clientY - box.y) * this.density;
  this.zoom(Math.exp(-event.deltaY * 0.0015), x, y);
};

View.prototype.whole = function () {
  this.fit();
  this.app.paint(this);
};

View.prototype.key = function (event) {
  const { app } = this;
  const direction = ARROWS[event.key];
  if (direction && app.mode === "walk" && this.up) app.step(direction);
  else if (direction) app.choose(this.next(direction), true);
  else if (event.key === "+" || event.key === "=") this.zoom(1.25, this.width / 2, this.height / 2);
  else if (event.key === "-") this.zoom(0.8, this.width / 2, this.height / 2);
  else if (event.key === "0") this.whole();
  else if (event.key === "[" || event.key === "]") app.toFrame(app.frame + (event.key === "]" ? 1 : -1));
  else if (event.key === "Enter") app.toggle(app.pinned);
  else if (event.key === "Escape") app.clear();
  else return;
  event.preventDefault();
};

/** The nearest site in a direction, or the first one. */
View.prototype.next = function ([u, v]) {
  const { app } = this;
  let best = app.pinned;
  let least = Infinity;
  if (best < 0) {
    for (let i = 0; i < app.n; i++) if (app.isHere(i)) return i;
    return -1;
  }
  const [x, y] = this.onCanvas(this.x[best], this.y[best]);
  for (let i = 0; i < app.n; i++) {
    if (!app.isHere(i)) continue;
    const [a, b] = this.onCanvas(this.x[i], this.y[i]);
    const along = (a - x) * u + (b - y) * v;
    const across = Math.abs((a - x) * v) + Math.abs((b - y) * u);
    if (along > 0.5 && across <= 1.5 * along && along + 2 * across < least) {
      [best, least] = [i, along + 2 * across];
    }
  }
  return best;
};
