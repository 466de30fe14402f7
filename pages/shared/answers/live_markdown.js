// Draws Markdown while it grows, the same Markdown as parsed.py. Each line is parsed once; of an open paragraph, at most
// LONGEST characters are parsed again. The text becomes DOM nodes, never HTML.

const LONGEST = 2000; // characters of a paragraph that are parsed together
const PART = 1000; // characters of the parts in which a longer paragraph is parsed
const PER_FRAME = 450; // characters that are drawn for good in one frame
const LINES = 20; // lines that are parsed in one frame: the browser takes more time for many blocks than the parser
const TIME = 4; // ms of one frame
const DEEPEST = 20; // lists and quotes within each other
const LONGEST_LINE = 900; // characters of a line that are parsed again while it grows; less than LONGEST - PART
const MOST_FORMULAS = 150; // of an answer; the others are drawn as code, as in its final form
// The browser lays out a block anew for each change in it, so a block with very much in it is continued by another one.
const SHELF = 50; // blocks, items, or lines of code
const MOST_PARTS = 5; // parts of a paragraph
const MOST_NODES = 150; // of a paragraph: formulas, spans of code, and what is between them
const MOST_ROWS = 300; // rows of a table: the columns of its continuation have other widths

function element(name, ...content) {
  const made = document.createElement(name);
  made.append(...content);
  return made;
}

// -- formulas, by the plugin with which Streamlit draws those of the finished answer

const FORMULA_TIME = 4; // ms for formulas in one frame
const katex = { drawn: new Map(), waiting: [], loaded: null, isAskedFor: false };

/** Returns the node of a formula. It shows the source until `drawFormulas` draws it. */
function formula(source, isDisplay) {
  const key = `${isDisplay} ${source}`;
  const known = katex.drawn.get(key);
  if (known) return known.cloneNode(true);
  const made = element("span", source);
  made.className = "formula";
  katex.waiting.push({ key, made, source, isDisplay });
  return made;
}

/** Draws formulas for some milliseconds. Returns whether all are drawn. */
function drawFormulas() {
  const end = performance.now() + FORMULA_TIME;
  while (katex.loaded && katex.waiting.length && performance.now() < end) {
    const { key, made, source, isDisplay } = katex.waiting.shift();
    if (!made.isConnected) continue;
    const classes = ["language-math", isDisplay ? "math-display" : "math-inline"];
    const code = { type: "element", tagName: "code", properties: { className: classes }, children: [] };
    code.children.push({ type: "text", value: source });
    const tree = { type: "root", children: [code] };
    katex.loaded(tree, { message() {} });
    made.replaceChildren(...tree.children.map((each) => nodeOf(each)));
    katex.drawn.set(key, made);
  }
  return !katex.loaded || !katex.waiting.length;
}

const NAMESPACES = { svg: "http://www.w3.org/2000/svg", math: "http://www.w3.org/1998/Math/MathML" };

/** Returns the DOM node of a node of the plugin's tree, https://github.com/syntax-tree/hast. */
function nodeOf({ type, value, tagName, properties, children }, outer = "http://www.w3.org/1999/xhtml") {
  if (type === "text") return document.createTextNode(value);
  const namespace = NAMESPACES[tagName] ?? outer;
  const made = document.createElementNS(namespace, tagName);
  for (const [name, each] of Object.entries(properties)) {
    if (name === "className") made.setAttribute("class", each.join(" "));
    else made.setAttribute(name.replace(/^aria([A-Z])/, (_, letter) => `aria-${letter.toLowerCase()}`), each);
  }
  made.append(...children.map((each) => nodeOf(each, namespace)));
  return made;
}

const waitsForFormulas = () => !katex.loaded && katex.waiting.length > 0;

/** Loads the plugin once. Its rules must be in the component, and its fonts in the document. */
async function loadFormulas(root, { script, style }) {
  if (!root.querySelector("link")) {
    for (const place of katex.isAskedFor ? [root] : [root, document.head]) {
      const link = element("link");
      link.rel = "stylesheet";
      link.href = new URL(style, document.baseURI);
      place.append(link);
    }
  }
  if (katex.isAskedFor) return;
  katex.isAskedFor = true;
  katex.loaded = (await import(new URL(script, document.baseURI))).default();
}

// -- the text of a block

const SPECIAL = /[\\`*_~[\]!<&$]|(?<![A-Za-z])https?:\/\/|\n/g;
const LINK = /\(\s*(?:<([^<>\n]*)>|((?:[^\s()\\]|\\.|\([^\s()]{0,500}\)){0,500}))(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/y;
const ADDRESS = /https?:\/\/[!#-;=?-Z_a-z~]+/y;
const IN_BRACKETS = /<((?:https?|mailto):[^\s<>]*)>/y;
const ENTITY = /&(?:#(\d{1,7})|#x([\da-f]{1,6})|(amp|lt|gt|quot|apos|nbsp|copy|ndash|mdash|hellip|times|rarr));/iy;
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", copy: "©", ndash: "–", mdash: "—", hellip: "…", times: "×", rarr: "→" }; // prettier-ignore
const CLOSING = { "\\(": "\\)", "\\[": "\\]", $$: "$$", $: "$" };
const BREAK = /<br\s*\/?>\s*/iy;
const BAD = /^\s*(?:javascript|vbscript|file|data):/i;
const PICTURE = /^\s*data:image\/(?:gif|png|jpeg|webp);/i;

const matched = (pattern, text, at) => ((pattern.lastIndex = at), pattern.exec(text));
const isPunctuation = (text) => /[\p{P}\p{S}]/u.test(text);

/** Parses the text of one block in one pass, with a stack of open brackets and one of emphasis marks. */
class Inline {
  constructor(text, isCell, mostFormulas) {
    this.text = text;
    this.isCell = isCell;
    this.mostFormulas = mostFormulas;
    this.formulas = 0;
    this.items = []; // texts, nodes, and marks {mark, length, opens, closes}
    this.brackets = [];
    this.runs = null;
    this.at = 0;
  }

  nodes() {
    while (this.at < this.text.length) {
      const found = matched(SPECIAL, this.text, this.at);
      if (!found) break;
      this.plain(found.index);
      this.special(found[0]);
    }
    this.plain(this.text.length);
    return emphasised(this.items);
  }

  plain(end) {
    if (end > this.at) this.items.push(this.text.slice(this.at, end));
    this.at = end;
  }

  take(node, end) {
    this.items.push(node);
    this.at = end;
  }

  special(mark) {
    const { text, at } = this;
    if ((mark === "\\" || mark === "$") && this.formula()) return;
    if (mark === "\\") this.escape();
    else if (mark === "\n") this.lineEnd();
    else if (mark === "`") this.code();
    else if (mark === "*" || mark === "_" || mark === "~") this.emphasis(mark);
    else if (mark === "[" || (mark === "!" && text[at + 1] === "[")) this.bracket(mark === "!");
    else if (mark === "]") this.link();
    else if (mark === "<") this.angle();
    else if (mark === "&") this.entity();
    else if (mark.startsWith("http")) this.address();
    else this.plain(at + 1);
  }

  formula() {
    const { text, at } = this;
    const opening = ["\\(", "\\[", "$$", "$"].find((each) => text.startsWith(each, at));
    if (!opening) return false;
    const first = at + opening.length;
    const last = text.indexOf(CLOSING[opening], first);
    const content = text.slice(first, Math.max(last, first));
    const isAmount = () => !isFormula(content, opening, text[at - 1], text[last + opening.length]);
    if (!content.trim() || (opening[0] === "$" && isAmount())) return false;
    const style = opening === "\\[" || opening === "$$" ? "\\displaystyle " : "";
    this.formulas += 1;
    const isDrawn = this.formulas <= this.mostFormulas;
    this.take(isDrawn ? formula(style + content.trim(), false) : element("code", content.trim()), last + opening.length);
    return true;
  }

  escape() {
    const next = this.text[this.at + 1];
    if (next === "\n") this.take(element("br"), this.at + 2);
    else if (next && /[!-/:-@[-`{-~]/.test(next)) this.take(next, this.at + 2);
    else this.plain(this.at + 1);
  }

  lineEnd() {
    const before = this.items.at(-1);
    if (typeof before === "string") this.items[this.items.length - 1] = before.trimEnd();
    this.take(typeof before === "string" && before.endsWith("  ") ? element("br") : "\n", this.at + 1);
  }

  /** Finds the end of a code span in the list of all runs of backticks, which is made once. */
  code() {
    this.runs ??= Map.groupBy(this.text.matchAll(/`+/g), ([run]) => run.length);
    const length = matched(/`+/y, this.text, this.at)[0].length;
    const starts = this.runs.get(length) ?? [];
    while (starts.length && starts[0].index <= this.at) starts.shift();
    if (!starts.length) return this.plain(this.at + length);
    const content = this.text.slice(this.at + length, starts[0].index).replaceAll("\n", " ");
    const isPadded = content.trim() && content.startsWith(" ") && content.endsWith(" ");
    this.take(element("code", isPadded ? content.slice(1, -1) : content), starts[0].index + length);
  }

  emphasis(mark) {
    const { text, at } = this;
    let end = at;
    while (text[end] === mark) end += 1;
    const [before, after] = [text[at - 1] ?? " ", text[end] ?? " "];
    const opens = !/\s/.test(after) && (!isPunctuation(after) || /\s/.test(before) || isPunctuation(before));
    const closes = !/\s/.test(before) && (!isPunctuation(before) || /\s/.test(after) || isPunctuation(after));
    if (mark === "~" && end - at !== 2) return this.plain(end);
    const isWord = mark === "_";
    this.items.push({
      mark,
      length: end - at,
      opens: opens && (!isWord || !closes || isPunctuation(before)),
      closes: closes && (!isWord || !opens || isPunctuation(after)),
    });
    this.at = end;
  }

  bracket(isPicture) {
    this.brackets.push({ place: this.items.length, isPicture, from: this.at + (isPicture ? 2 : 1) });
    this.take(isPicture ? "![" : "[", this.at + (isPicture ? 2 : 1));
  }

  link() {
    const opened = this.brackets.pop();
    const found = opened && matched(LINK, this.text, this.at + 1);
    const target = found?.[1] ?? found?.[2] ?? "";
    if (!found || (BAD.test(target) && !(opened.isPicture && PICTURE.test(target)))) return this.plain(this.at + 1);
    const label = this.text.slice(opened.from, this.at);
    const content = emphasised(this.items.splice(opened.place).slice(1));
    this.take(opened.isPicture ? picture(label, target) : link(content, target), this.at + 1 + found[0].length);
    if (!opened.isPicture) this.brackets = this.brackets.filter((each) => each.isPicture);
  }

  angle() {
    const found = matched(IN_BRACKETS, this.text, this.at);
    const isBreak = this.isCell && matched(BREAK, this.text, this.at);
    if (found) this.take(link([found[1]], found[1]), this.at + found[0].length);
    else if (isBreak) this.take(element("br"), this.at + isBreak[0].length);
    else this.plain(this.at + 1);
  }

  entity() {
    const found = matched(ENTITY, this.text, this.at);
    if (!found) return this.plain(this.at + 1);
    const number = parseInt(found[1] ?? found[2], found[1] ? 10 : 16);
    const known = found[3] ? ENTITIES[found[3].toLowerCase()] : number <= 0x10ffff && String.fromCodePoint(number || 0xfffd);
    this.take(known || "\ufffd", this.at + found[0].length);
  }

  address() {
    const whole = matched(ADDRESS, this.text, this.at)?.[0];
    if (!whole) return this.plain(this.at + 8);
    let bare = whole.replace(/[?!.,:;*_~')]+$/, "");
    if (bare.includes("(") && whole[bare.length] === ")") bare += ")";
    this.take(link([bare], bare), this.at + bare.length);
  }
}

const isWord = (character) => !!character && /[A-Za-z0-9$]/.test(character);

/** Whether what stands between dollar signs is a formula and no amount of money. */
function isFormula(content, opening, before, after) {
  const isTrimmed = content === content.trim();
  if (isWord(before) || isWord(after) || (opening === "$" && !isTrimmed)) return false;
  return /[\\^_={}]/.test(content) || (isTrimmed && !/^\p{Nd}/u.test(content));
}

function link(content, target) {
  const made = element("span", ...content);
  made.className = "link";
  made.title = target;
  return made;
}

function picture(label, target) {
  const shown = target.length <= 100 ? target : `${target.slice(0, 100)}…`;
  return link([label ? `${label} (${shown})` : shown], target);
}

/** Joins the items between matching marks of emphasis. Returns nodes and texts. */
function emphasised(items) {
  const made = [];
  const open = []; // places of marks in `made` that may open
  for (const item of items) {
    if (!item.mark) {
      made.push(item);
      continue;
    }
    const mark = { ...item };
    while (mark.closes && mark.length) {
      const at = open.findLastIndex((place) => fits(made[place], mark));
      if (at < 0) break;
      wrap(made, open[at], mark);
      open.length = made[open[at]]?.mark ? at + 1 : at;
    }
    if (!mark.length) continue;
    if (mark.opens) open.push(made.length);
    made.push(mark);
  }
  return joined(made);
}

/** Joins texts that follow each other: the browser takes time for each node. */
function joined(items) {
  const made = [];
  for (const item of items) {
    const each = item.mark ? item.mark.repeat(item.length) : item;
    if (typeof each === "string" && typeof made.at(-1) === "string") made[made.length - 1] += each;
    else made.push(each);
  }
  return made;
}

function fits(opening, closing) {
  if (opening.mark !== closing.mark || !opening.length) return false;
  const isOneBoth = (opening.closes || closing.opens) && (opening.length + closing.length) % 3 === 0;
  return !(isOneBoth && (opening.length % 3 || closing.length % 3));
}

/** Replaces what follows the opening mark at this place by an element, and shortens both marks. */
function wrap(made, place, closing) {
  const opening = made[place];
  const used = opening.mark === "~" || (opening.length > 1 && closing.length > 1) ? 2 : 1;
  const name = opening.mark === "~" ? "del" : used === 2 ? "strong" : "em";
  const node = element(name, ...joined(made.splice(place + 1)));
  opening.length -= used;
  closing.length -= used;
  if (opening.length) made.push(node);
  else made.splice(place, 1, node);
}

// -- the colours of code

const WORDS = {
  python: "and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield match case",
  javascript:
    "as async await break case catch class const continue debugger default delete do else enum export extends finally for from function get if implements import in instanceof interface let new of package private protected public return set static super switch this throw try typeof var void while with yield",
  sql: "select from where and or not insert into values update set delete create table primary key foreign references join left right inner outer on group by order having limit as distinct union all in is null like between case when then else end index view drop alter add count sum avg min max",
  bash: "if then else elif fi for while until do done case esac in function return exit export local",
  json: "",
  other:
    "abstract as async await bool break byte case catch char class const continue default defer do double else enum extends extern false final float fn for foreach func function go goto if impl implements import in int interface let long match mod mut namespace new nil null override package private protected pub public range readonly return self short static string struct super switch template this throw throws trait try type typedef unsafe unsigned use using var virtual void where while yield",
};
const LIKE = { py: "python", js: "javascript", jsx: "javascript", ts: "javascript", typescript: "javascript", tsx: "javascript", sh: "bash", shell: "bash", zsh: "bash" }; // prettier-ignore
const COLOURED = ["python", "javascript", "sql", "bash", "json", "java", "c", "cpp", "csharp", "cs", "go", "rust", "kotlin", "swift", "php"]; // prettier-ignore
const TOKEN =
  /(?<comment>\/\/.*|\/\*.*?(?:\*\/|$)|#.*|--\s.*)|(?<string>"(?:[^"\\]|\\.)*(?:"|$)|'(?:[^'\\]|\\.)*(?:'|$)|`(?:[^`\\]|\\.)*(?:`|$))|(?<number>\b\d[\w.]*)|(?<word>[\p{L}_$][\p{L}\p{Nd}_$]*)(?<call>\s*\()?|(?<operator>[-+*/%=<>!&|^~?@]+)|(?<punctuation>[{}[\]();,.:])/gu;

/** Returns the coloured nodes of one line of code. */
function coloured(line, language) {
  const name = LIKE[language] ?? language;
  if (!COLOURED.includes(name) || line.length > PART) return [line];
  const words = new Set((WORDS[name] ?? WORDS.other).split(" "));
  const hasHash = name === "python" || name === "bash";
  const nodes = [];
  let at = 0;
  for (const found of line.matchAll(TOKEN)) {
    const [text, kind] = kindOf(found, name, words, hasHash, line);
    if (found.index < at || !kind) continue;
    const token = element("span", text);
    token.className = kind;
    nodes.push(line.slice(at, found.index), token);
    at = found.index + text.length;
  }
  return [...nodes, line.slice(at)];
}

function kindOf(found, name, words, hasHash, line) {
  const { comment, string, number, word, call, operator } = found.groups;
  if (comment !== undefined) {
    const isOne = comment[0] === "#" ? hasHash : comment[0] === "-" ? name === "sql" : !hasHash && name !== "json";
    return isOne ? [comment, "comment"] : [comment[0], "operator"];
  }
  if (string !== undefined) {
    const isProperty = name === "json" && /^\s*:/.test(line.slice(found.index + string.length));
    return [string, isProperty ? "property" : "string"];
  }
  if (number !== undefined) return [number, "number"];
  if (word !== undefined) {
    if (words.has(name === "sql" ? word.toLowerCase() : word)) return [word, "keyword"];
    if (/^(?:true|false|null|none)$/i.test(word)) return [word, name === "python" || name === "json" ? "boolean" : "keyword"];
    return [word, call ? "function" : ""];
  }
  return operator !== undefined ? [operator, "operator"] : [found.groups.punctuation, "punctuation"];
}

// -- blocks

const FENCE = /^(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const RULE = /^([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^> ?/;
const ITEM = /^([-+*]|\d{1,9}[.)])(\s+|$)/;
const DIVIDER = /^\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;
const UNDERLINE = /^(=+|-+)\s*$/;

const indentOf = (line) => line.length - line.trimStart().length;

/** Draws a growing text into a node. `add` takes more of the text, and `draw` draws some of what came. */
class Markdown {
  constructor(root) {
    this.containers = [{ kind: "root", node: root }];
    this.leaf = null; // the open block
    this.wasBlank = false;
    this.queue = ""; // what is not drawn yet
    this.open = ""; // the last line, which has not ended
    this.isInLine = false; // the beginning of the last line is drawn for good
    this.isTentative = false;
    this.undo = []; // takes back what `open` changed
    this.formulas = 0; // that are in the drawn text
  }

  add(text) {
    this.queue += text;
  }

  /** Draws some of the text, for TIME at most. Returns whether all that came is drawn. */
  draw() {
    for (const back of this.undo.reverse()) back();
    this.undo = [];
    const text = this.open + this.queue;
    const end = performance.now() + TIME;
    let at = 0;
    for (let lines = 0; lines < LINES && at < PER_FRAME && performance.now() < end && this.isReady(text, at); lines += 1) {
      at = this.next(text, at);
    }
    const isDrawn = !this.isReady(text, at);
    this.open = isDrawn ? text.slice(at) : "";
    this.queue = isDrawn ? "" : text.slice(at);
    if (this.open) {
      this.isTentative = true;
      this.line(this.open);
      this.isTentative = false;
    }
    if (this.leaf) this.show(this.leaf);
    return isDrawn;
  }

  /** Whether what begins here is drawn for good: a line that has ended, or the next part of a long one. */
  isReady(text, at) {
    return text.includes("\n", at) || text.length - at > (this.isInLine ? 0 : LONGEST_LINE);
  }

  /** Draws the line that begins here, or its next part. Returns where the text goes on. */
  next(text, at) {
    const found = text.indexOf("\n", at);
    const end = Math.min(found < 0 ? text.length : found, at + LONGEST_LINE);
    const line = text.slice(at, end).replace(/\r$/, "");
    const hasEnded = end === found;
    if (this.isInLine) this.more(line);
    else this.line(line);
    if (this.leaf?.isCode && this.isInLine && hasEnded) this.more("\n");
    if (this.leaf?.isCode && !this.isInLine && !hasEnded) this.leaf.text = this.leaf.text.slice(0, -1);
    this.isInLine = !hasEnded;
    return hasEnded ? end + 1 : end;
  }

  more(text) {
    if (this.leaf) this.leaf.text += text;
  }

  /** Changes a value, and takes the change back when the line was tentative. */
  set(owner, name, value) {
    const before = owner[name];
    owner[name] = value;
    if (this.isTentative) this.undo.push(() => (owner[name] = before));
  }

  /** Adds to the number of formulas, and takes that back when the line was tentative. */
  count(formulas) {
    this.formulas += formulas;
    if (this.isTentative) this.undo.push(() => (this.formulas -= formulas));
  }

  put(node, where = this.shelf(this.containers.at(-1))) {
    where.append(node);
    if (this.isTentative) this.undo.push(() => node.remove());
    return node;
  }

  /** Returns where the next block of a container goes. */
  shelf(container) {
    const shelf = container.shelf ?? container.node;
    if (shelf.childNodes.length < SHELF) return shelf;
    if (container.shelf) this.set(shelf, "className", "cut");
    this.set(container, "shelf", this.put(element("div"), container.node));
    return container.shelf;
  }

  line(text) {
    let [rest, depth] = this.matching(text.replace(/^[ \t]+/, (blank) => blank.replaceAll("\t", "    ")));
    const isMatched = depth === this.containers.length;
    if (isMatched && (this.leaf?.closing || this.leaf?.fence)) return this.verbatim(rest);
    if (this.leaf?.isOver) this.end();
    const before = this.containers;
    [rest, depth] = this.opening(rest, depth, isMatched);
    const hasOpened = this.containers !== before;
    if (!rest.trim()) return this.blank(rest, depth, isMatched);
    this.block(rest, depth, isMatched, hasOpened);
    this.set(this, "wasBlank", false);
  }

  /** Returns what follows the marks of the containers that this line continues, and the number of these. */
  matching(line) {
    let rest = line;
    let depth = 1;
    for (; depth < this.containers.length; depth += 1) {
      const { kind, indent, node } = this.containers[depth];
      const bare = rest.trimStart();
      if (kind === "quote") {
        if (!bare.startsWith(">") || indentOf(rest) > 3) break;
        rest = bare.replace(QUOTE, "");
      } else if (bare ? indentOf(rest) < indent : !node.hasChildNodes()) break;
      else rest = rest.slice(indent);
    }
    return [rest, depth];
  }

  /** Opens the quotes and lists that begin in this line. */
  opening(line, matched, isMatched) {
    let rest = line;
    let depth = matched;
    while (rest.trim() && indentOf(rest) < 4 && depth <= DEEPEST) {
      const bare = rest.trimStart();
      const item = !RULE.test(bare) && ITEM.exec(bare);
      const interrupts = this.leaf?.kind === "p" && isMatched && depth === matched;
      if (bare.startsWith(">")) {
        this.close(depth);
        this.contain({ kind: "quote", node: element("blockquote") });
        rest = bare.replace(QUOTE, "");
      } else if (item && !(interrupts && (/^(?!1[.)])\d/.test(item[1]) || !bare.slice(item[0].length)))) {
        this.close(depth);
        rest = this.item(item, bare, indentOf(rest));
      } else break;
      depth = this.containers.length;
    }
    return [rest, depth];
  }

  contain(container) {
    this.spread();
    this.set(this.containers.at(-1), "list", container.list);
    if (!container.list) this.put(container.node);
    this.set(this, "containers", [...this.containers, container]);
  }

  item([whole, mark, blank], bare, indent) {
    const width = mark.length + (blank.length > 4 || whole.length === bare.length ? 1 : blank.length);
    const parent = this.containers.at(-1);
    const kind = mark.slice(-1);
    if (parent.list?.kind !== kind) {
      this.spread();
      const node = this.put(element(/\d/.test(mark) ? "ol" : "ul"));
      if (/\d/.test(mark)) node.start = parseInt(mark, 10);
      this.set(parent, "list", { kind, node });
    } else if (this.wasBlank) this.loosen(parent.list.node);
    if (parent.list.node.childNodes.length >= SHELF) this.continueList(parent);
    const node = this.put(element("li"), parent.list.node);
    const item = { kind: "item", node, indent: indent + width, inside: parent.list.node };
    this.set(this, "containers", [...this.containers, item]);
    this.set(this, "wasBlank", false);
    return bare.slice(width);
  }

  continueList(parent) {
    const { kind, node } = parent.list;
    const next = element(node.localName);
    if (node.start) next.start = node.start + SHELF;
    next.className = node.className;
    this.set(node, "className", `${node.className} cut`);
    this.set(parent, "list", { kind, node: this.put(next) });
  }

  /** A blank line between the blocks of an item makes its list a loose one. */
  spread() {
    const { kind, node, inside } = this.containers.at(-1);
    if (kind === "item" && this.wasBlank && node.hasChildNodes()) this.loosen(inside);
  }

  loosen(list) {
    this.set(list, "className", "loose");
  }

  close(depth) {
    if (depth === this.containers.length) return;
    this.end();
    this.set(this, "containers", this.containers.slice(0, depth));
  }

  /** Ends the open block. */
  end() {
    if (!this.leaf) return;
    const leaf = this.leaf;
    if (leaf.closing) this.set(leaf, "closing", null); // it was no formula
    this.show(leaf);
    this.set(this, "leaf", null);
  }

  start(kind, node, more = {}) {
    this.end();
    this.spread();
    this.set(this.containers.at(-1), "list", null);
    const isFirst = !this.containers.at(-1).node.hasChildNodes();
    this.put(node);
    this.set(this, "leaf", { kind, node, text: "", done: 0, tail: [], isFirst, ...more });
  }

  blank(rest, depth, isMatched) {
    if (!isMatched) this.close(depth);
    if (this.leaf?.kind === "indented") this.set(this.leaf, "text", `${this.leaf.text}${rest.slice(4)}\n`);
    else this.end();
    this.set(this, "wasBlank", true);
  }

  block(rest, depth, isMatched, hasOpened) {
    const bare = rest.trimStart();
    const isDeep = indentOf(rest) > 3;
    const isText = this.leaf?.kind === "p" && !hasOpened;
    if (isText && (isDeep || (!isMatched && ![FENCE, HEADING, RULE].some((each) => each.test(bare))))) {
      return this.extend(`\n${bare}`);
    }
    if (!hasOpened) this.close(depth);
    if (isDeep) this.indented(rest.slice(4));
    else if (FENCE.test(bare)) this.fence(bare, indentOf(rest));
    else if (this.formulaBlock(bare)) return;
    else if (HEADING.test(bare)) this.heading(bare);
    else if (isText && isMatched && UNDERLINE.test(bare)) this.underline(bare);
    else if (RULE.test(bare)) this.start("hr", element("hr"), { isOver: true });
    else if (isText && DIVIDER.test(bare) && this.table(bare)) return;
    else if (this.leaf?.kind === "table" && !hasOpened) this.row(bare, "td");
    else if (isText) this.extend(`\n${bare}`);
    else {
      this.start("p", element("p"));
      this.extend(bare);
    }
  }

  extend(text) {
    this.set(this.leaf, "text", this.leaf.text + text);
  }

  code(kind, more) {
    const code = element("code");
    const node = element("div", element("pre", code));
    node.className = "code";
    this.start(kind, node, { code, isCode: true, ...more });
  }

  indented(line) {
    if (this.leaf?.kind !== "indented") this.code("indented", { language: "" });
    this.extend(`${line}\n`);
  }

  fence(bare, indent) {
    const [, fence, info] = FENCE.exec(bare);
    this.code("fence", { fence, indent, language: /[\w+#.-]*/.exec(info.trim())[0].toLowerCase() });
  }

  heading(bare) {
    const [, marks, text = ""] = HEADING.exec(bare);
    this.start("h", element(`h${marks.length}`), { isOver: true });
    this.extend(text);
  }

  /** A paragraph with a line of = or - below it is a heading. */
  underline(bare) {
    const { text, node } = this.leaf;
    this.set(this, "leaf", null);
    this.take(node);
    this.start("h", element(bare[0] === "=" ? "h1" : "h2"), { isOver: true });
    this.extend(text);
  }

  take(node) {
    const [parent, next] = [node.parentNode, node.nextSibling];
    node.remove();
    if (this.isTentative) this.undo.push(() => parent.insertBefore(node, next));
  }

  formulaBlock(bare) {
    const closing = bare.startsWith("\\[") ? "\\]" : bare.startsWith("$$") && "$$";
    if (!closing) return false;
    const end = bare.trimEnd().indexOf(closing, 2);
    if (end >= 0 && end !== bare.trimEnd().length - 2) return false;
    this.start("p", element("p"), { closing });
    this.extend(bare);
    if (end > 2) this.closeFormula();
    return true;
  }

  closeFormula() {
    const { node, text } = this.leaf;
    const source = text.trim().slice(2, -2).trim();
    this.set(this, "leaf", null);
    this.take(node);
    this.count(1);
    if (this.formulas <= MOST_FORMULAS) return this.start("formula", formula(source, true), { isOver: true });
    this.code("fence", { language: "latex", isOver: true });
    this.extend(`${source}\n`);
  }

  /** Adds a line to an open fence or formula, or closes it. */
  verbatim(rest) {
    const { leaf } = this;
    const bare = rest.trim();
    if (leaf.closing) {
      this.extend(`\n${rest}`);
      if (bare.endsWith(leaf.closing)) this.closeFormula();
      else if (leaf.text.length > LONGEST) this.set(leaf, "closing", null);
    } else if (bare.startsWith(leaf.fence) && !bare.replaceAll(leaf.fence[0], "") && indentOf(rest) < 4) this.end();
    else this.extend(`${rest.slice(Math.min(leaf.indent, indentOf(rest)))}\n`);
  }

  /** Makes a table of the last line of the paragraph and a line that divides it from the rows. */
  table(divider) {
    const { text, node, done } = this.leaf;
    const at = text.lastIndexOf("\n") + 1;
    const marks = cells(divider);
    if (!text.slice(at).includes("|") || cells(text.slice(at)).length !== marks.length || done > at) return false;
    this.set(this.leaf, "text", text.slice(0, at).trimEnd());
    this.end();
    if (!at) this.take(node);
    const sides = marks.map((mark) => [mark.startsWith(":") && "left", mark.endsWith(":") && "right"].filter(Boolean));
    const aligned = sides.map(([one, other]) => (other ? "center" : (one ?? "")));
    this.start("table", element("table"), { aligned });
    this.row(text.slice(at), "th");
    return true;
  }

  row(line, name) {
    if (this.leaf.node.childNodes.length >= MOST_ROWS) this.start("table", element("table"), { aligned: this.leaf.aligned });
    const { node, aligned } = this.leaf;
    const texts = cells(line);
    const made = aligned.map((align, n) => {
      const inline = new Inline((texts[n] ?? "").slice(0, LONGEST), true, MOST_FORMULAS - this.formulas);
      const cell = element(name, ...inline.nodes());
      this.count(inline.formulas);
      cell.style.textAlign = align;
      return cell;
    });
    this.put(element("tr", ...made), node);
  }

  /** Draws what is new in an open block: text for good where it is long, otherwise anew. */
  show(leaf) {
    if (leaf.text === leaf.shown || leaf.kind === "table" || leaf.kind === "formula") return;
    leaf.shown = leaf.text;
    this.formulas -= leaf.formulas ?? 0;
    for (const part of leaf.isCode ? ready(leaf) : parts(leaf)) this.keep(leaf, this.drawn(leaf, part));
    const before = this.formulas;
    const tail = place(leaf, this.drawn(leaf, leaf.text.slice(leaf.done)));
    clear(leaf);
    leaf.tail = tail;
    leaf.formulas = this.formulas - before;
  }

  /** Draws a part of a block for good. */
  keep(leaf, nodes) {
    leaf.kept = (leaf.kept ?? 0) + 1;
    place(leaf, nodes);
    if (leaf.isCode && leaf.kept % SHELF === 0) {
      clear(leaf);
      leaf.code.className = "cut";
      leaf.code = element("code");
      leaf.node.firstChild.append(leaf.code);
    } else if (!leaf.isCode && (leaf.kept % MOST_PARTS === 0 || leaf.node.childNodes.length > MOST_NODES)) {
      clear(leaf);
      leaf.node.className += " cut";
      leaf.node.after((leaf.node = element(leaf.node.localName)));
    }
  }

  drawn(leaf, text) {
    if (leaf.isCode) {
      const shown = leaf.kind === "indented" ? text.replace(/\n{2,}$/, "\n") : text;
      return shown.split(/(?<=\n)/).flatMap((line) => coloured(line, leaf.language));
    }
    if (leaf.closing) return [text];
    const task = leaf.isFirst && !leaf.done && leaf.node.parentNode?.localName === "li" && /^\[([ xX])\](?=\s)/.exec(text);
    if (!task) return this.inline(leaf.kind === "p" ? text : text.replaceAll("\n", " "));
    leaf.node.parentNode.className = "task";
    const box = element("input");
    Object.assign(box, { type: "checkbox", disabled: true, checked: task[1] !== " " });
    return [box, ...this.inline(text.slice(3))];
  }

  inline(text) {
    const inline = new Inline(text, false, MOST_FORMULAS - this.formulas);
    const nodes = inline.nodes();
    this.formulas += inline.formulas;
    return nodes;
  }
}

/** Puts nodes in place of the tail of a block. The beginning that is the same stays: a new node takes the browser time. */
function place(leaf, nodes) {
  const made = nodes.map((each) => (typeof each === "string" ? document.createTextNode(each) : each));
  const isSame = (node, n) => leaf.tail[n]?.isEqualNode(node);
  const found = made.findIndex((node, n) => !isSame(node, n));
  const same = leaf.tail.splice(0, found < 0 ? made.length : found);
  const fresh = made.slice(same.length);
  if (fresh.length) clear(leaf);
  (leaf.code ?? leaf.node).append(...fresh);
  return [...same, ...fresh];
}

function clear(leaf) {
  for (const node of leaf.tail) node.remove();
  leaf.tail = [];
}

/** Yields the parts of a long paragraph that are final. */
function* parts(leaf) {
  while (leaf.text.length - leaf.done > LONGEST) {
    const { text, done } = leaf;
    const end = Math.max(text.lastIndexOf(" ", done + PART - 1), text.lastIndexOf("\n", done + PART - 1)) + 1;
    leaf.done = end > done ? end : done + PART;
    yield text.slice(done, leaf.done);
  }
}

/** Yields the lines of code that are final; the last LONGEST_LINE characters may be taken back. */
function* ready(leaf) {
  const end = leaf.text.lastIndexOf("\n", leaf.text.length - LONGEST_LINE);
  while (leaf.done <= end) {
    const from = leaf.done;
    leaf.done = leaf.text.indexOf("\n", from) + 1;
    yield leaf.text.slice(from, leaf.done);
  }
}

function cells(line) {
  const bare = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return bare.split(/(?<!\\)\|/).map((cell) => cell.replaceAll("\\|", "|").trim());
}
