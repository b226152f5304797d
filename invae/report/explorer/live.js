
// The live page: what the server answers. The token stands behind the # of the address and is sent as a header.

const STATE_MS = 1500; // between two questions for the state
const token = location.hash.slice(1);
const liveStatus = document.getElementById("live-status");

class Server {
  async ask(name, question = {}) {
    const headers = { "X-Token": token, "Content-Type": "application/json" };
    const answer = await fetch(name, { method: "POST", headers, body: JSON.stringify(question) });
    if (answer.status === 403) throw new Error("This address has no valid token. Open the page by the address in the terminal.");
    const content = await answer.json();
    if (content.error) throw new Error(content.error);
    return content;
  }

  connect() {
    this.socket = new WebSocket(`ws://${location.host}/decode`);
    this.socket.binaryType = "arraybuffer";
    this.isOpen = new Promise((done, fail) => {
      this.socket.addEventListener("open", () => {
        this.socket.send(token);
        done();
      });
      this.socket.addEventListener("error", fail);
    });
    this.socket.addEventListener("message", ({ data }) => this.answered?.(data));
    this.socket.addEventListener("close", () => {
      this.socket = null;
      this.answered?.(new ArrayBuffer(0));
    });
  }

  /** The decoded patch at a place; null where there is none. One question at a time. */
  async decode(place, member) {
    if (!this.socket) this.connect();
    await this.isOpen;
    const answer = new Promise((done) => { this.answered = done; });
    this.socket.send(JSON.stringify({ place, member }));
    const bytes = await answer;
    return bytes.byteLength ? new Float32Array(bytes) : null;
  }
}

/** A ring on the mean pattern, whose sums over the scan become an image. */
class Detector {
  constructor(app, server, { mean, y, x, radius }) {
    Object.assign(this, { app, server, mean, ring: { y, x, inner: 0, outer: radius } });
    const size = Math.hypot(mean.w, mean.h);
    this.zoom = Math.max(1, Math.round(256 / Math.max(mean.w, mean.h)));
    this.canvas = element("canvas", { id: "x-detector", width: mean.w * this.zoom, height: mean.h * this.zoom, role: "img", "aria-label": "Mean diffraction pattern with the ring of the detector" });
    const bar = element("div", { className: "bar" }, ...["inner", "outer"].map((name) => this.slider(name, size)));
    this.node = element("section", {}, element("h3", {}, "Virtual detector"), element("p", {}, "Click on the mean pattern to move the centre. The image of the detector appears among the images."), this.canvas, bar);
    this.canvas.addEventListener("click", (event) => this.move(event));
  }

  slider(name, size) {
    const made = element("input", { type: "range", id: `x-${name}`, min: 0, max: size, step: 0.5 });
    made.value = this.ring[name];
    made.addEventListener("input", () => this.set({ [name]: Number(made.value) }));
    return element("label", {}, `${name} radius [px] `, made);
  }

  move(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = ((event.clientX - box.x) / box.width) * this.mean.w - 0.5;
    const y = ((event.clientY - box.y) / box.height) * this.mean.h - 0.5;
    this.set({ y, x });
  }

  set(change) {
    Object.assign(this.ring, change);
    this.draw();
    this.update();
  }

  async open() {
    this.stack = await unpackStack(this.mean);
    this.draw();
  }

  draw() {
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
    const context = this.canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, this.canvas.width, this.canvas.height);
    const { y, x, inner, outer } = this.ring;
    for (const radius of [inner, outer]) {
      for (const [style, width] of [[HALO, 4], ["#d55e00", 2]]) {
        context.beginPath();
        context.arc((x + 0.5) * this.zoom, (y + 0.5) * this.zoom, radius * this.zoom, 0, 7);
        Object.assign(context, { strokeStyle: style, lineWidth: width });
        context.stroke();
      }
    }
  }

  /** Ask for the newest ring only. */
  async update() {
    this.wanted = { ...this.ring };
    if (this.isAsking) return;
    this.isAsking = true;
    try {
      while (this.wanted) {
        const ring = this.wanted;
        this.wanted = null;
        await this.app.addChannel(await this.server.ask("detector", ring));
        liveStatus.textContent = "";
      }
    } catch (error) {
      liveStatus.textContent = error.message;
    } finally {
      this.isAsking = false;
    }
  }
}

/** Named selections, and the training on them. */
class Labels {
  constructor(app, server, labels) {
    Object.assign(this, { app, server });
    this.name = element("input", { type: "text", id: "x-label", maxLength: 40, placeholder: "name of the label" });
    const act = (work) => () => work().catch((error) => { liveStatus.textContent = error.message; });
    const save = app.controls.button("Label the selection", act(() => this.save()), { id: "x-label-save" });
    this.start = app.controls.button("Train with the labels", act(() => this.train()), { id: "x-train" });
    this.list = element("p", { id: "x-labels" });
    this.progress = element("p", { id: "x-training", role: "status" });
    const words = "Select sites with the lasso, give them a name, and save. With two labels or more, a semi-supervised model can be trained on them and on all sites without a label.";
    this.node = element("section", {}, element("h3", {}, "Labels"), element("p", {}, words), element("div", { className: "bar" }, app.controls.labelled("Label", this.name), save, this.start), this.list, this.progress);
    this.show(labels);
  }

  show(labels) {
    const counts = Object.entries(labels).map(([name, sites]) => `${name}: ${sites.length}`);
    this.list.textContent = counts.length ? `Labels: ${counts.join(", ")}` : "There are no labels yet.";
  }

  async save() {
    const sites = this.app.selectedSites();
    if (!sites.length) throw new Error("Select sites first: drag around them.");
    this.show(await this.server.ask("label", { name: this.name.value, sites }));
    liveStatus.textContent = "";
  }

  async train() {
    await this.server.ask("train");
    this.wasRunning = true;
  }

  async follow({ running, done, total, error, finished }) {
    if (running) this.progress.textContent = total ? `Training: ${done} of ${total} epochs.` : "Training starts.";
    if (running || !this.wasRunning) return;
    this.wasRunning = false;
    if (error) this.progress.textContent = `The training has failed: ${error}`;
    if (!finished) return;
    await this.app.addQuantity(await this.server.ask("classes"));
    this.progress.textContent = "The training has finished; the sites are coloured by the classes of the model.";
  }
}

/** Ask for the state again and again: a new result reloads the page. */
async function follow(server, version, labels) {
  for (;;) {
    await new Promise((done) => { setTimeout(done, STATE_MS); });
    try {
      const state = await server.ask("state");
      if (state.version && state.version !== version) return location.reload();
      await labels?.follow(state.training);
    } catch (error) {
      liveStatus.textContent = `The server does not answer (${error.message}).`;
    }
  }
}

async function start() {
  const server = new Server();
  let data;
  try {
    data = await server.ask("data");
  } catch (error) {
    liveStatus.textContent = error.message;
    return token ? follow(server, "", null) : null;
  }
  document.getElementById("title").textContent = data.title;
  const app = await mount(document.getElementById("explorer"), data, server);
  const labels = new Labels(app, server, data.live.labels);
  const parts = [labels.node];
  if (data.live.detector) {
    const detector = new Detector(app, server, data.live.detector);
    await detector.open();
    parts.push(detector.node);
  }
  document.getElementById("live").replaceChildren(...parts);
  liveStatus.textContent = "";
  return follow(server, data.version, labels);
}

await start();
