// The whole view: image, latent plane, patches, values, and what is shared between them.

const MODES = [
  ["lasso", "Lasso", "Drag around sites to select them. A click chooses one."],
  ["move", "Move", "Drag to move a view; the wheel zooms a view that was clicked."],
  ["walk", "Walk", "Drag through the latent plane to decode the place below the pointer."],
];

class App {
  constructor(root, data, live) {
    Object.assign(this, { root, data, live, n: data.n, hovered: -1, pinned: -1 });
    Object.assign(this, { frame: 0, walked: null, allFrames: true, showsSites: true, black: 0, white: 255 });
    this.mode = matchMedia("(pointer: coarse)").matches ? "" : "lasso";
    this.selected = new Uint8Array(data.n);
    this.nSelected = 0;
    this.due = new Set();
    this.pictures = new Map();
  }

  async open() {
    const { data } = this;
    this.columns = new Map();
    for (const column of data.columns) this.columns.set(column.name, await unpackColumn(column));
    this.quantities = [...this.columns.values()].filter((column) => column.kind !== "role");
    this.channels = [];
    for (const channel of data.image?.channels ?? []) this.channels.push(await unpackStack(channel));
    this.nodes = await unpackStack(data.nodes);
    this.parts = await unpackParts(data.parts, data.n);
    await this.openStored();
    this.tables = {};
    for (const [name, table] of Object.entries(data.colours)) this.tables[name] = table.map(colourOf);
    this.frameOf = Int32Array.from(this.columns.get("frame").values, Math.round);
    this.perFrame = this.n / data.frames.numbers.length;
    this.isHere = data.image ? (site) => this.frameOf[site] === this.frame : () => true;
    this.spacing = this.spacingOf();
    this.openPlane();
    this.openImage();
    new Controls(this).build();
    this.frame = this.frameOf[0] ?? 0;
    this.toFrame(this.frame);
    this.colourBy(this.quantities.find((column) => column.kind === "class")?.name ?? this.quantities[0].name);
    this.tell();
    new ResizeObserver(() => this.paint()).observe(this.root);
    addEventListener("beforeprint", () => this.views.forEach((view) => view.draw()));
    this.root.dataset.ready = "1";
  }

  async openStored() {
    const { stored } = this.data;
    if (!stored) return;
    this.stored = await unpackStack(stored);
    const at = (await unpackColumn(stored.at)).values;
    this.storedAt = new Map(Array.from(at, (site, index) => [Math.round(site), index]));
  }

  get cutsPatches() {
    return !this.stored && Boolean(this.data.image);
  }

  /** The latent plane; with one content dimension, classes stand above each other. */
  openPlane() {
    const contents = this.data.plane.map((dimension) => this.quantities[dimension]);
    const kinds = this.quantities.find((column) => column.kind === "class");
    const [first, second] = [contents[0], contents[1] ?? kinds];
    this.axisTitles = [first.title, second.title];
    const ends = [first, second].map(({ lo, hi }) => [lo, hi > lo ? hi : lo + 1]);
    const box = [ends[0][0], ends[1][0], ends[0][1], ends[1][1]];
    const label = `Latent plane: ${first.title} and ${second.title} of every ${this.data.site}`;
    this.plane = new View(this, { name: "plane", label, x: first.values, y: second.values, box, up: true });
    this.placeOf = (site) => [first.values[site], contents[1] ? second.values[site] : 0];
  }

  openImage() {
    const { image } = this.data;
    this.views = [this.plane];
    if (!image) return;
    const box = [-0.5, -0.5, image.w - 0.5, image.h - 0.5];
    const aspect = image.pixel_nm ? image.pixel_nm[0] / image.pixel_nm[1] : 1;
    const [x, y] = ["x", "y"].map((name) => this.columns.get(name).values);
    const label = `Image with every ${this.data.site} of the shown frame`;
    this.image = new View(this, { name: "image", label, x, y, box, aspect });
    this.views.unshift(this.image);
  }

  /** Median distance of nearest neighbours in a frame [px], from the first sites that share one. */
  spacingOf() {
    if (!this.data.image) return 0;
    const [x, y] = ["x", "y"].map((name) => this.columns.get(name).values);
    const some = [];
    for (let i = 0; i < this.n && some.length < 400; i++) if (this.frameOf[i] === this.frameOf[0]) some.push(i);
    const nearest = some.map((i) => Math.min(...some.map((j) => (i === j ? Infinity : Math.hypot(x[i] - x[j], y[i] - y[j])))));
    return nearest.sort((a, b) => a - b)[Math.floor(nearest.length / 2)] ?? 0;
  }

  /** A value that a site needs to be drawn. */
  role(name, site, without = 0) {
    const column = this.columns.get(name);
    return column ? column.values[site] : without;
  }

  /** Pixels of an image as numbers; the last ones are kept. */
  numbers(channel, index) {
    const key = `${channel} ${index}`;
    if (!this.pictures.has(key)) {
      if (this.pictures.size > 8) this.pictures.clear();
      this.pictures.set(key, numbersOf(this.channels[channel], index));
    }
    return this.pictures.get(key);
  }

  paint(...views) {
    for (const view of views.length ? views : this.views) this.due.add(view);
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      const due = [...this.due];
      this.due.clear();
      for (const view of due) view.draw();
      this.root.dataset.painted = Number(this.root.dataset.painted ?? 0) + 1;
    });
  }

  toFrame(frame) {
    const { numbers } = this.data.frames;
    this.frame = Math.max(0, Math.min(numbers.length - 1, frame));
    this.controls.showFrame();
    this.paint();
  }

  setMode(mode) {
    this.mode = mode;
    if (mode !== "walk" && this.walked) this.walked = null;
    this.controls.showMode();
    this.tell();
    this.drawTops();
  }

  drawTops() {
    for (const view of this.views) view.drawTop();
  }

  /** Colour the sites by a quantity. */
  colourBy(name) {
    const column = this.columns.get(name);
    const { kind, values, lo, hi } = column;
    const table = this.tables[kind];
    this.scale = this.scaleOf(column);
    const [low, high] = this.scale;
    const last = table.length - 1;
    this.colour = Uint32Array.from(values, (value) => {
      if (!Number.isFinite(value)) return PALE;
      if (kind === "class") return table[Math.round(value) % table.length];
      const share = (value - low) / (high - low);
      if (kind === "angle") return table[Math.floor(share * table.length + table.length) % table.length];
      return table[Math.max(0, Math.min(last, Math.round(share * last)))];
    });
    this.coloured = column;
    this.controls.showLegend();
    this.paint();
  }

  /** Ends of the colour scale: all but the lowest and highest 1 %; about zero for signed numbers. */
  scaleOf({ kind, values }) {
    if (kind === "angle") return [-Math.PI, Math.PI];
    const sorted = Float32Array.from(values.filter(Number.isFinite)).sort();
    const low = sorted[Math.floor(sorted.length * 0.01)] ?? 0;
    const high = sorted[Math.ceil(sorted.length * 0.99) - 1] ?? 1;
    const largest = Math.max(Math.abs(low), Math.abs(high)) || 1;
    if (kind === "signed") return [-largest, largest];
    return [low, high > low ? high : low + 1];
  }

  drawFrame(view, context) {
    const { image, frames } = this.data;
    const index = image.at[this.frame];
    const picture = this.controls.picture(index);
    if (!picture) return this.noImage(view, context);
    const [x, y] = view.onCanvas(-0.5, -0.5);
    context.imageSmoothingEnabled = view.kx < 3;
    context.drawImage(picture, x, y, picture.width * image.bin * view.kx, picture.height * image.bin * view.ky);
  }

  noImage(view, context) {
    context.fillStyle = "#5b6570";
    context.font = `${13 * view.density}px sans-serif`;
    context.textBaseline = "top";
    context.fillText("The image of this frame is not in the result.", 8 * view.density, 8 * view.density);
  }

  hover(site) {
    if (site === this.hovered) return;
    this.hovered = site;
    if (site >= 0 && this.mode !== "walk") this.walked = null;
    this.tell();
    this.drawTops();
  }

  choose(site, isByKey = false) {
    this.pinned = site;
    this.walked = null;
    if (isByKey) this.hovered = -1;
    if (site >= 0 && !this.isHere(site)) this.toFrame(this.frameOf[site]);
    this.tell();
    this.drawTops();
    if (site >= 0 && isByKey) this.controls.say(this.controls.oneLine(site));
  }

  /** `selected`: 1 for every selected site. */
  select(selected) {
    this.selected = selected;
    this.nSelected = selected.reduce((sum, one) => sum + one, 0);
    this.controls.showSelection();
    this.paint();
    this.root.dispatchEvent(new CustomEvent("select"));
  }

  /** Positions of the selected sites in the page. */
  selectedSites() {
    return [...this.selected.keys()].filter((site) => this.selected[site]);
  }

  toggle(site) {
    if (site < 0) return;
    const selected = this.selected.slice();
    selected[site] = 1 - selected[site];
    this.select(selected);
  }

  clear() {
    this.choose(-1);
    this.select(new Uint8Array(this.n));
  }

  /** The image of a live detector; it replaces the one before. */
  async addChannel(channel) {
    const made = { ...(await unpackStack(channel)), isLive: true };
    const at = this.channels.findIndex(({ isLive }) => isLive);
    if (at >= 0) this.channels[at] = made;
    else this.channels.push(made);
    this.controls.showChannels(at >= 0 ? at : this.channels.length - 1);
  }

  /** A further quantity, or the next version of one with the same name. */
  async addQuantity(column) {
    const made = await unpackColumn(column);
    const at = this.quantities.findIndex(({ name }) => name === made.name);
    if (at >= 0) this.quantities[at] = made;
    else this.quantities.push(made);
    this.columns.set(made.name, made);
    this.controls.showQuantities();
    this.colourBy(made.name);
  }

  /** Decode at a place of the latent plane: between the nodes, or by the model itself. */
  walk(place) {
    this.walked = place;
    this.hovered = -1;
    this.tell();
    this.plane.drawTop();
    if (this.live?.decode) this.decodeLive();
  }

  step([u, v]) {
    const [x0, y0, x1, y1] = this.plane.box;
    const [x, y] = this.walked ?? [(x0 + x1) / 2, (y0 + y1) / 2];
    this.walk([x + (u * (x1 - x0)) / 40, y - (v * (y1 - y0)) / 40]);
  }

  /** Ask for the newest place only: places that were passed meanwhile are left out. */
  async decodeLive() {
    this.wanted = this.walked;
    if (this.isAsking) return;
    this.isAsking = true;
    try {
      while (this.wanted) {
        const place = this.wanted;
        this.wanted = null;
        const decoded = await this.live.decode(place, this.member);
        if (this.walked && decoded) this.patches.showDecoded(decoded);
      }
    } finally {
      this.isAsking = false;
    }
  }

  /** Show the pictures and values of what is pointed at, chosen or walked to. */
  tell() {
    const site = this.hovered >= 0 ? this.hovered : this.pinned;
    if (!this.walked) this.patches.show(site);
    else if (!this.live?.decode) this.patches.showDecoded(this.patches.decodedAt(this.walked, this.member));
    this.controls.showValues(site);
  }
}

/** Build the view in an element, from the data of the page; `live` answers what the data cannot. */
async function mount(root, data, live = null) {
  const app = new App(root, data, live);
  await app.open();
  return app;
}
