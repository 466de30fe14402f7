// Follows an answer while it is written. One connection per tab carries all answers of the tab. `live_markdown.js`, which
// comes first in the same module, draws the text; the browser loads nothing that a model writes: no link and no picture.

// -- the connection

const TOO_LONG = 3000; // ms without an event until a proxy is assumed to hold the stream back, and polling begins
const POLL = 500; // ms between two polls
const followed = new Map(); // key -> view
let source = null;
let timer = 0;
let failures = 0;
let isPolling = false;

function connect() {
  disconnect();
  if (!followed.size) return;
  const keys = [...followed.keys()];
  const address = new URL("answers", document.baseURI);
  for (const key of keys) address.searchParams.append("of", `${key}.${followed.get(key).end}`);
  if (isPolling) return poll(address, keys);
  const mine = (source = new EventSource(address));
  timer = setTimeout(() => {
    isPolling = true;
    connect();
  }, TOO_LONG);
  mine.addEventListener("here", () => {
    clearTimeout(timer);
    failures = 0;
  });
  mine.onmessage = (message) => mine === source && take(keys, JSON.parse(message.data));
  mine.onerror = () => mine === source && again();
}

function disconnect() {
  clearTimeout(timer);
  source?.close();
  source = null;
}

function again() {
  disconnect();
  failures += 1;
  timer = setTimeout(connect, Math.min(100 * 2 ** failures, 5000));
}

async function poll(address, keys) {
  address.searchParams.set("now", "");
  try {
    const answer = await fetch(address);
    for (const event of await answer.json()) take(keys, event);
    timer = setTimeout(connect, POLL);
  } catch {
    again();
  }
}

function take(keys, [n, end, text, kind = "content"]) {
  const view = followed.get(keys[n]);
  if (!view) return;
  if (end === undefined) {
    followed.delete(view.key);
    if (!followed.size) disconnect();
    view.ended();
  } else if (end > view.end) {
    view.take(end, kind, text);
  }
}

// -- the view of an answer

class View {
  constructor(root, { key, waiting_for: waitingFor, since, katex }) {
    this.key = key;
    this.end = 0;
    this.report = () => {};
    this.isDue = false;
    this.reasoning = root.querySelector(".reasoning");
    this.content = root.querySelector(".content");
    this.content.replaceChildren();
    this.markdown = new Markdown(this.content);
    this.loadFormulas = () => loadFormulas(root, katex).then(() => this.draw());
    const state = root.querySelector(".state");
    const showState = () => {
      const seconds = Math.max(0, Math.round((Date.now() - since) / 1000));
      state.textContent = `${this.end ? "Writing" : `Waiting for ${waitingFor}`} · ${seconds} s`;
    };
    showState();
    this.clock = setInterval(showState, 1000);
    this.showState = showState;
  }

  take(end, kind, text) {
    this.end = end;
    if (kind === "reasoning") {
      this.reasoning.hidden = false;
      this.reasoning.lastElementChild.append(text);
    } else {
      const isFirst = !this.content.hasChildNodes();
      if (isFirst) this.reasoning.open = false;
      this.markdown.add(text);
      if (isFirst) this.drawNow();
      else this.draw();
    }
    this.showState();
  }

  draw() {
    if (this.isDue) return;
    this.isDue = true;
    // A hidden tab gets no animation frames, but its text must be complete when the person returns to the tab.
    const soon = document.hidden ? (then) => setTimeout(then, 250) : requestAnimationFrame;
    soon(() => {
      this.isDue = false;
      this.drawNow();
    });
  }

  /** Draws some of the text, and the rest in the next frames. */
  drawNow() {
    const isDrawn = this.markdown.draw();
    if (waitsForFormulas()) this.loadFormulas();
    if (!drawFormulas() || !isDrawn) this.draw();
  }

  ended() {
    clearInterval(this.clock);
    this.drawNow();
    // Repeat until the page removes this view: Streamlit drops a report while its connection is down.
    const report = () => this.report("ended", Date.now());
    report();
    this.clock = setInterval(report, 1000);
  }

  leave() {
    clearInterval(this.clock);
    if (followed.get(this.key) === this) {
      followed.delete(this.key);
      if (!followed.size) disconnect();
    }
  }
}

const views = new WeakMap();

// Streamlit calls this function on each run of the page.
export default function ({ parentElement, data, setTriggerValue }) {
  let view = views.get(parentElement);
  if (view?.key !== data.key) {
    view?.leave();
    view = new View(parentElement, data);
    for (const [end, kind, text] of data.begun) view.take(end, kind, text);
    view.drawNow();
    // On a phone the answer is below its inputs, outside the visible part of the page.
    if (innerWidth <= 640 && !followed.size) view.content.scrollIntoView({ block: "center" });
    views.set(parentElement, view);
    followed.set(view.key, view);
    connect();
  }
  view.report = setTriggerValue;
  return () => {
    view.leave();
    views.delete(parentElement);
  };
}
