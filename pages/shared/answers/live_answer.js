// Draws an answer while it is written. One connection per tab carries all answers of the tab. The text becomes DOM
// nodes, never HTML, and the browser loads nothing that a model writes: no link and no picture.

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

// -- markdown

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)(?:\s+#*)?$/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])( +)(.*)$/;
const QUOTE = /^ {0,3}> ?(.*)$/;
const RULE = /^ {0,3}([-*_])(?: *\1){2,} *$/;
const ROW = /^ *\|/;
const DIVIDER = /^[\s|:-]+$/;
const INLINE =
  /(`+)(.+?)\1(?!`)|\*\*(?=\S)(.+?)(?<=\S)\*\*|(?<![\w*])\*(?=[^\s*])(.+?)(?<=[^\s*])\*(?![\w*])|~~(?=\S)(.+?)(?<=\S)~~|!?\[([^\]]*)\]\(([^()\s]*(?:\([^()]*\))?[^()\s]*)[^)]*\)/gs;

function element(name, ...content) {
  const made = document.createElement(name);
  made.append(...content);
  return made;
}

function inline(text) {
  const made = document.createDocumentFragment();
  let at = 0;
  for (const found of text.matchAll(INLINE)) {
    const [whole, , code, strong, emphasis, struck, label, target] = found;
    made.append(text.slice(at, found.index));
    if (code !== undefined) made.append(element("code", code.trim()));
    else if (strong !== undefined) made.append(element("strong", inline(strong)));
    else if (emphasis !== undefined) made.append(element("em", inline(emphasis)));
    else if (struck !== undefined) made.append(element("s", inline(struck)));
    else {
      const link = element("span", label || target);
      link.className = "link";
      link.title = target;
      made.append(link);
    }
    at = found.index + whole.length;
  }
  made.append(text.slice(at));
  return made;
}

/** Returns the node of the block that begins at this line, and the index of the line after the block. */
function block(lines, at) {
  const line = lines[at];
  const fence = FENCE.exec(line);
  if (fence) return fenced(lines, at, fence[1]);
  const heading = HEADING.exec(line);
  if (heading) return [element(`h${heading[1].length}`, inline(heading[2])), at + 1];
  if (RULE.test(line)) return [element("hr"), at + 1];
  if (QUOTE.test(line)) {
    let end = at;
    while (end < lines.length && QUOTE.test(lines[end])) end += 1;
    const inner = lines.slice(at, end).map((each) => QUOTE.exec(each)[1]);
    return [element("blockquote", ...blocks(inner)), end];
  }
  if (ITEM.test(line)) return list(lines, at);
  if (ROW.test(line) && at + 1 < lines.length && DIVIDER.test(lines[at + 1])) return table(lines, at);
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && ![FENCE, HEADING, QUOTE, ITEM].some((each) => each.test(lines[end])))
    end += 1;
  const made = element("p");
  lines.slice(at, end).forEach((each, n, all) => {
    made.append(inline(each.trim()));
    if (n + 1 < all.length) made.append(each.endsWith("  ") ? element("br") : " ");
  });
  return [made, end];
}

function fenced(lines, at, mark) {
  const indent = lines[at].search(/\S/);
  let end = at + 1;
  while (end < lines.length && !(lines[end].trim().startsWith(mark) && !lines[end].trim().replaceAll(mark[0], "")))
    end += 1;
  const code = lines.slice(at + 1, end).map((each) => each.slice(Math.min(indent, Math.max(each.search(/\S/), 0))));
  return [element("pre", element("code", code.join("\n"))), Math.min(end + 1, lines.length)];
}

function list(lines, at) {
  const [, indent, mark] = ITEM.exec(lines[at]);
  const isNumbered = /\d/.test(mark);
  const made = element(isNumbered ? "ol" : "ul");
  if (isNumbered) made.start = parseInt(mark, 10);
  while (at < lines.length) {
    const item = ITEM.exec(lines[at]);
    if (!item || item[1].length !== indent.length || /\d/.test(item[2]) !== isNumbered) break;
    const inside = item[1].length + item[2].length + 1;
    const inner = [item[4]];
    at += 1;
    while (at < lines.length && (!lines[at].trim() || lines[at].search(/\S/) > indent.length)) {
      inner.push(lines[at].slice(Math.min(inside, Math.max(lines[at].search(/\S/), 0))));
      at += 1;
    }
    const nodes = blocks(inner);
    if (nodes[0]?.localName === "p") nodes.splice(0, 1, ...nodes[0].childNodes);
    made.append(element("li", ...nodes));
  }
  return [made, at];
}

function table(lines, at) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|");
  const row = (line, name) => element("tr", ...cells(line).map((cell) => element(name, inline(cell.trim()))));
  const body = element("tbody");
  const made = element("table", element("thead", row(lines[at], "th")), body);
  for (at += 2; at < lines.length && ROW.test(lines[at]); at += 1) body.append(row(lines[at], "td"));
  return [made, at];
}

/** Yields the node of each block and the index of its first line. */
function* begun(lines) {
  for (let at = 0; at < lines.length; ) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const [node, end] = block(lines, at);
    yield [node, at];
    at = end;
  }
}

const blocks = (lines) => Array.from(begun(lines), ([node]) => node);

// -- the view of an answer

class View {
  constructor(root, key, waitingFor, since) {
    this.key = key;
    this.end = 0;
    this.report = () => {};
    this.rest = ""; // the end of the content, whose blocks may still change
    this.isDue = false;
    this.reasoning = root.querySelector(".reasoning");
    this.content = root.querySelector(".content");
    this.content.replaceChildren();
    this.tail = undefined;
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
      const isFirst = !this.rest && !this.content.hasChildNodes();
      if (isFirst) this.reasoning.open = false;
      this.rest += text;
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

  /** Redraws the last block. The blocks before it are final: a block is final when the next one has begun. */
  drawNow() {
    const lines = this.rest.split("\n");
    const drawn = [...begun(lines)];
    this.tail?.remove();
    this.content.append(...drawn.map(([node]) => node));
    this.tail = drawn.at(-1)?.[0];
    if (drawn.length > 1) this.rest = lines.slice(drawn.at(-1)[1]).join("\n");
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
    view = new View(parentElement, data.key, data.waiting_for, data.since);
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
