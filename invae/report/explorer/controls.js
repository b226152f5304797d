// Buttons, sliders, legend, list of values and what is said about the selection.

const HATCH = [0xffd0d0d0, 0xfff0f0f0];

class Controls {
  constructor(app) {
    this.app = app;
    app.controls = this;
    app.member = 0;
    this.pictureCanvas = document.createElement("canvas");
    this.channel = 0;
  }

  build() {
    const { app } = this;
    app.patches = new Patches(app);
    this.modes = MODES.map(([mode, words, title]) => this.button(words, () => app.setMode(app.mode === mode ? "" : mode), { id: `x-mode-${mode}`, title }));
    this.quantity = this.choice("x-colour", [], (name) => app.colourBy(name));
    this.showQuantities();
    const bar = element("div", { className: "bar" }, element("span", { role: "group", "aria-label": "Dragging" }, ...this.modes));
    bar.append(this.labelled("Colour", this.quantity), ...this.imageControls(), ...this.classChoice());
    bar.append(this.button("Whole view", () => app.views.forEach((view) => view.whole()), { id: "x-whole" }));
    this.values = element("dl", { className: "values", id: "x-values" });
    this.legend = element("div", { className: "legend" });
    this.status = element("p", { id: "x-status", role: "status" });
    this.spoken = element("p", { className: "spoken", "aria-live": "polite" });
    this.keys = element("p", { id: "x-keys", className: "keys" }, KEYS);
    const saves = [
      this.button("Save selection (CSV)", () => this.save(), { id: "x-save" }),
      this.button("Clear", () => app.clear(), { id: "x-clear" }),
    ];
    const side = element("div", { className: "side" }, app.patches.node, app.patches.note, this.values);
    const views = element("div", { className: app.image ? "views" : "views one" }, ...app.views.map((view) => view.node));
    const below = element("div", { className: "bar" }, this.legend, ...saves);
    const main = element("div", {}, views, below, this.status, this.spoken, this.keys);
    app.root.replaceChildren(bar, element("div", { className: "columns" }, main, side));
    this.showMode();
    this.showSelection();
  }

  button(words, act, properties = {}) {
    const made = element("button", { type: "button", ...properties }, words);
    made.addEventListener("click", act);
    return made;
  }

  choice(id, options, act) {
    const made = element("select", { id }, ...options.map(([value, words]) => element("option", { value }, words)));
    made.addEventListener("change", () => act(made.value));
    return made;
  }

  slider(id, most, value, act) {
    const made = element("input", { type: "range", id, min: 0, max: most, step: 1 });
    made.value = value;
    made.addEventListener("input", () => act(Number(made.value)));
    return made;
  }

  check(id, isOn, act) {
    const made = element("input", { type: "checkbox", id, checked: isOn });
    made.addEventListener("change", () => act(made.checked));
    return made;
  }

  labelled(words, control) {
    return element("label", {}, `${words} `, control);
  }

  imageControls() {
    const { app } = this;
    if (!app.image) return [];
    const made = [];
    this.images = this.choice("x-channel", [], (at) => this.redraw({ channel: Number(at) }));
    made.push(this.labelled("Image", this.images));
    this.showChannels(0);
    const last = app.data.frames.numbers.length - 1;
    if (last > 0) {
      this.frame = this.slider("x-frame", last, 0, (frame) => app.toFrame(frame));
      this.frameWords = element("output", { id: "x-frame-words" });
      made.push(this.labelled("Frame", this.frame), this.frameWords);
      made.push(this.labelled("All frames in the plane", this.check("x-all", true, (isOn) => this.redraw({}, { allFrames: isOn }))));
    }
    made.push(this.labelled("Black", this.slider("x-black", 255, 0, (black) => this.redraw({}, { black }))));
    made.push(this.labelled("White", this.slider("x-white", 255, 255, (white) => this.redraw({}, { white }))));
    made.push(this.labelled("Sites", this.check("x-sites", true, (isOn) => this.redraw({}, { showsSites: isOn }))));
    return made;
  }

  fill(list, options) {
    list.replaceChildren(...options.map(([value, words]) => element("option", { value }, words)));
  }

  showQuantities() {
    this.fill(this.quantity, this.app.quantities.map(({ name, title }) => [name, title]));
  }

  /** The images that can be chosen; one of them is shown. */
  showChannels(channel) {
    if (!this.images) return;
    this.fill(this.images, this.app.channels.map(({ title }, at) => [at, title]));
    this.images.value = channel;
    this.redraw({ channel });
  }

  /** Which class is decoded while walking. */
  classChoice() {
    const { app } = this;
    const names = app.nodes.classes;
    if (names.length < 2) return [];
    const options = names.map((name, at) => [at, name]);
    return [this.labelled("Walk in class", this.choice("x-member", options, (at) => {
      app.member = Number(at);
      if (app.walked) app.walk(app.walked);
    }))];
  }

  redraw(own, shared = {}) {
    Object.assign(this, own);
    Object.assign(this.app, shared);
    this.drawn = null;
    this.app.paint();
  }

  showMode() {
    MODES.forEach(([mode], at) => this.modes[at].setAttribute("aria-pressed", String(this.app.mode === mode)));
    this.app.root.classList.toggle("armed", this.app.mode !== "");
  }

  showFrame() {
    if (!this.frame) return;
    const { numbers, times, unit } = this.app.data.frames;
    const { frame } = this.app;
    this.frame.value = frame;
    const time = times?.[frame];
    const after = time === null || time === undefined ? "" : `, ${shown(time, unit)}`;
    this.frameWords.textContent = `${numbers[frame]} (${frame + 1} of ${numbers.length}${after})`;
  }

  /** The shown image as a canvas; null if the result lacks it. */
  picture(index) {
    if (index < 0) return null;
    const { app } = this;
    const stack = app.channels[this.channel];
    const at = Math.min(index, stack.count - 1);
    const key = `${this.channel} ${at} ${app.black} ${app.white}`;
    if (this.drawn === key && this.drawnStack === stack) return this.pictureCanvas;
    this.drawnStack = stack;
    const { w, h } = stack;
    Object.assign(this.pictureCanvas, { width: w, height: h });
    const context = this.pictureCanvas.getContext("2d");
    const image = context.createImageData(w, h);
    const pixels = new Uint32Array(image.data.buffer);
    const last = Math.max(1, this.lastCode(stack));
    const [low, high] = [(app.black / 255) * last, (app.white / 255) * last];
    for (let i = 0; i < pixels.length; i++) {
      const code = stack.pixels[at * w * h + i];
      const share = Math.max(0, Math.min(1, (code - low) / Math.max(1, high - low)));
      const grey = Math.round(255 * share);
      const isStripe = (i % w + Math.floor(i / w)) % 8 < 4;
      pixels[i] = code === UNKNOWN_PIXEL ? HATCH[Number(isStripe)] : packedColour(grey, grey, grey);
    }
    context.putImageData(image, 0, 0);
    this.drawn = key;
    return this.pictureCanvas;
  }

  /** The brightest code of a stack. */
  lastCode(stack) {
    if (stack.last === undefined) {
      stack.last = stack.pixels.reduce((most, code) => (code !== UNKNOWN_PIXEL && code > most ? code : most), 0);
    }
    return stack.last;
  }

  showLegend() {
    const { app } = this;
    const { coloured, scale, tables } = app;
    this.quantity.value = coloured.name;
    if (coloured.kind === "class") {
      const chips = coloured.classes.map((name, at) => {
        const chip = element("span", { className: "chip" });
        chip.style.backgroundColor = cssColour(tables.class[at % tables.class.length]);
        return element("span", { className: "entry" }, chip, name);
      });
      return this.legend.replaceChildren(`${coloured.title}: `, ...chips);
    }
    const table = tables[coloured.kind];
    const strip = element("canvas", { width: table.length, height: 1, className: "strip", "aria-hidden": "true" });
    const context = strip.getContext("2d");
    table.forEach((colour, at) => {
      context.fillStyle = cssColour(colour);
      context.fillRect(at, 0, 1, 1);
    });
    const [low, high] = scale.map((value) => this.words(coloured, value));
    this.legend.replaceChildren(`${coloured.title}: ${low} `, strip, ` ${high}`);
  }

  /** A value of a quantity in words; angles in degrees. */
  words({ kind, classes, unit }, value) {
    if (!Number.isFinite(value)) return "–";
    if (kind === "class") return classes[Math.round(value)] ?? "–";
    if (kind === "angle" || unit === "rad") return `${shown((value * 180) / Math.PI)}°`;
    return shown(value, unit.replace("pixel", "px"));
  }

  rowsOf(site) {
    const { app } = this;
    const rows = [["site", String(Math.round(app.role("number", site, site)))]];
    const { image, frames } = app.data;
    if (image && frames.numbers.length > 1) rows.push(["frame", String(frames.numbers[app.frameOf[site]])]);
    if (image) {
      const [height, width] = image.pixel_nm ?? [1, 1];
      const unit = image.pixel_nm ? "nm" : "px";
      rows.push(["x, y", `${shown(app.role("x", site) * width)}, ${shown(app.role("y", site) * height)} ${unit}`]);
    }
    for (const column of app.quantities) rows.push([column.title, this.words(column, column.values[site])]);
    return rows;
  }

  showValues(site) {
    const { walked, axisTitles } = this.app;
    let rows = [["site", "none; point at one"]];
    if (walked) rows = axisTitles.map((title, at) => [title, shown(walked[at])]);
    else if (site >= 0) rows = this.rowsOf(site);
    const entries = rows.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
    this.values.replaceChildren(...entries);
  }

  oneLine(site) {
    return this.rowsOf(site).slice(0, 6).map(([name, value]) => `${name} ${value}`).join("; ");
  }

  say(words) {
    this.spoken.textContent = words;
  }

  showSelection() {
    const { app } = this;
    const { n, n_all: all, sites } = app.data;
    const sampled = n < all ? `; ${n} of ${all} ${sites} are in this page, evenly chosen` : "";
    const count = app.nSelected;
    if (!count) {
      this.status.textContent = `${n} ${sites}; none selected${sampled}`;
      return;
    }
    const column = app.quantities.find(({ kind }) => kind === "class");
    const counts = column.classes.map(() => 0);
    for (let site = 0; site < n; site++) {
      if (app.selected[site] && Number.isFinite(column.values[site])) counts[Math.round(column.values[site])] += 1;
    }
    const order = [...counts.keys()].filter((at) => counts[at]).sort((a, b) => counts[b] - counts[a]);
    const parts = order.slice(0, 8).map((at) => `${column.classes[at]}: ${counts[at]}`);
    this.status.textContent = `${count} of ${n} ${sites} selected; by ${column.title}: ${parts.join(", ")}${sampled}`;
  }

  /** The selected sites, or all, as a table; angles in degrees. */
  table() {
    const { app } = this;
    const sites = app.nSelected ? app.selectedSites() : [...Array(app.n).keys()];
    const places = app.image ? ["x", "y"].map((name) => ({ ...app.columns.get(name), title: `${name} [px]`, kind: "place" })) : [];
    const columns = [...places, ...app.quantities];
    const isAngle = ({ kind, unit }) => kind === "angle" || unit === "rad";
    const heads = columns.map((column) => {
      const unit = isAngle(column) ? "degree" : column.unit;
      const words = unit && unit !== "1" && column.kind !== "place" ? `${column.title} [${unit}]` : column.title;
      // A spreadsheet takes a text that begins with one of these for a formula.
      return `"${words.replaceAll('"', "'").replace(/^[=+\-@]/, "'$&")}"`;
    });
    const cell = (column, site) => {
      const value = column.values[site];
      if (!Number.isFinite(value)) return "";
      if (column.kind === "class") return Math.round(value) + 1;
      return Number((isAngle(column) ? (value * 180) / Math.PI : value).toPrecision(6));
    };
    const rows = sites.map((site) => {
      const frame = app.data.frames.numbers[app.frameOf[site]];
      return [Math.round(app.role("number", site, site)), frame, ...columns.map((column) => cell(column, site))].join(",");
    });
    return [["site", "frame", ...heads].join(","), ...rows].join("\n") + "\n";
  }

  save() {
    const address = URL.createObjectURL(new Blob([this.table()], { type: "text/csv" }));
    element("a", { href: address, download: "selection.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }
}
