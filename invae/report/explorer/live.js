
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
