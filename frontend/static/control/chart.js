// The timeline as SVG: a row of bars for each series, marks above them, the clock below. Series differ by row, word and
// pattern, marks by shape and word; colour only helps. Sizes follow the page's own text, so that it is never smaller.
const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const PATTERNS = {
  accepted: [],
  finished: [["M0 6L6 0M-1.500 1.500L1.500 -1.500M4.500 7.500L7.500 4.500", 1.6]],
  refused: [["M0 0L6 6M0 6L6 0", 1.2]],
};

function patterns() {
  return element(
    "defs",
    {},
    ...Object.entries(PATTERNS).map(([name, strokes]) =>
      element(
        "pattern",
        { id: `fill-${name}`, width: 6, height: 6, patternUnits: "userSpaceOnUse" },
        element("rect", { width: 6, height: 6, class: `under ${name}` }),
        ...strokes.map(([d, width]) => element("path", { d, "stroke-width": width, class: `stroke ${name}` })),
      ),
    ),
  );
}

const SHAPES = {
  revoked: (s) => `M${-s} ${-s}H${s}V${s}H${-s}Z`,
  published: (s) => `M0 ${-s}L${s} ${s}H${-s}Z`,
  ended: (s) => `M${-s} ${-s}L0 0L${s} ${-s}V${s}L0 0L${-s} ${s}Z`,
  phase: (s) => `M${-s} 0A${s} ${s} 0 1 0 ${s} 0A${s} ${s} 0 1 0 ${-s} 0Z`,
  broadcast: (s) => `M0 ${-s}L${s} 0L0 ${s}L${-s} 0Z`,
  inject: (s) => `M${-s} ${-s}H${s}V${s * 0.3}H${-s * 0.2}L${-s} ${s}Z`,
  restoring: (s) => `M0 ${s}L${s} ${-s}H${-s}Z`,
};

// The lowest lane in which the label meets no other; labels that find none are left to the table and the log.
function lane(lanes, from, to) {
  const free = lanes.findIndex((taken) => taken.every(([a, b]) => to < a || from > b));
  if (free >= 0) lanes[free].push([from, to]);
  return free;
}

function wide(text, size) {
  return text.length * size * 0.56;
}

export function draw(place, timeline) {
  const size = parseFloat(getComputedStyle(place).fontSize);
  const width = Math.max(240, Math.floor(place.clientWidth));
  const span = timeline.to - timeline.from || 1;
  const edge = size * 0.6;
  const x = (at) => edge + ((at - timeline.from) / span) * (width - 2 * edge);
  const lanes = timeline.marks.length ? [[], [], []] : [[]];
  const lineHeight = size * 1.45;
  const top = lanes.length * lineHeight + size * 0.4;
  const rowHeight = size * 3.4;
  const bottom = top + timeline.series.length * rowHeight;
  const height = bottom + size * 3.1;
  const svg = element("svg", {
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-labelledby": "summary",
  });
  svg.append(patterns());

  // Spans first: they lie behind everything.
  for (const mark of timeline.marks.filter((one) => one.until > one.at)) {
    const [from, to] = [x(mark.at), x(mark.until)];
    svg.append(element("rect", { x: from, y: top, width: to - from, height: bottom - top, class: `span ${mark.kind}` }));
  }
  timeline.series.forEach((name, row) => bars(svg, timeline, name, top + row * rowHeight, { size, rowHeight, x, width, edge }));

  // What matters most gets its word first.
  const weight = (mark) => ["inject", "phase", "published", "ended", "revoked"].indexOf(mark.kind);
  for (const mark of [...timeline.marks].sort((a, b) => weight(b) - weight(a) || a.at - b.at)) {
    const at = x(mark.at);
    if (mark.until === mark.at) svg.append(element("line", { x1: at, x2: at, y1: top, y2: bottom, class: `mark ${mark.kind}` }));
    const shape = size * 0.36;
    const room = shape * 2 + size * 0.35 + wide(mark.label, size);
    const leftward = at + room > width;
    const [from, to] = leftward ? [at - room, at + shape] : [at - shape, at + room];
    const labelled = from < 0 ? -1 : lane(lanes, from, to + size * 0.4);
    // Without room for its word a mark keeps its sign, and without room for that its line.
    const free = labelled < 0 ? lane(lanes, at - shape, at + shape + size * 0.2) : labelled;
    if (free < 0) continue;
    const y = free * lineHeight + size * 0.8;
    const title = element("title", {}, mark.words);
    svg.append(element("path", { d: SHAPES[mark.kind](shape), transform: `translate(${at} ${y})`, class: `sign ${mark.kind}` }, title));
    if (labelled < 0) continue;
    const offset = shape + size * 0.35;
    svg.append(
      element(
        "text",
        { x: leftward ? at - offset : at + offset, y: y + size * 0.34, "text-anchor": leftward ? "end" : "start" },
        mark.label,
      ),
    );
  }

  svg.append(element("line", { x1: edge, x2: width - edge, y1: bottom, y2: bottom, class: "axis" }));
  let last = -Infinity;
  for (const tick of timeline.ticks) {
    const half = wide(tick.label, size) / 2;
    const at = Math.min(Math.max(x(tick.at), half), width - half);
    if (at - half < last + size * 0.5) continue;
    last = at + half;
    svg.append(element("line", { x1: x(tick.at), x2: x(tick.at), y1: bottom, y2: bottom + size * 0.3, class: "axis" }));
    svg.append(element("text", { x: at, y: bottom + size * 1.4, "text-anchor": "middle" }, tick.label));
  }
  const now = x(timeline.now);
  const words = `${timeline.now_label} ${timeline.clock}`;
  const half = wide(words, size) * 0.58; // bold is wider
  svg.append(element("line", { x1: now, x2: now, y1: top, y2: bottom, class: "now" }));
  const text = { x: Math.min(Math.max(now, half), width - half), y: bottom + size * 2.7, "text-anchor": "middle", class: "now-words" };
  svg.append(element("text", text, words));
  // Last, so that no line crosses a word.
  timeline.series.forEach((name, row) => label(svg, timeline, name, { x: edge + size * 0.5, y: top + row * rowHeight + size * 1.1 }));
  place.replaceChildren(svg);
}

function bars(svg, timeline, name, top, { size, rowHeight, x, width, edge }) {
  const most = Math.max(1, ...timeline.bars.map((bar) => bar[name]));
  const base = top + rowHeight - 1;
  const tall = rowHeight - size * 1.5;
  svg.append(element("line", { x1: edge, x2: width - edge, y1: base, y2: base, class: "base" }));
  for (const bar of timeline.bars) {
    if (!bar[name]) continue;
    const high = Math.max(2, (bar[name] / most) * tall);
    const from = Math.max(edge, x(bar.at));
    const wideness = Math.max(2, Math.min(x(bar.at + timeline.bar), width - edge) - from - 1);
    const title = element("title", {}, `${bar[name]} ${name}`);
    svg.append(element("rect", { x: from, y: base - high, width: wideness, height: high, fill: `url(#fill-${name})`, class: `bar ${name}` }, title));
  }
}

function label(svg, timeline, name, place) {
  const total = timeline.bars.reduce((sum, bar) => sum + bar[name], 0);
  const most = Math.max(0, ...timeline.bars.map((bar) => bar[name]));
  const words = total ? `${name}: ${total}, at most ${most} in ${timeline.bar_words}` : `${name}: none`;
  svg.append(element("text", { ...place, class: "halo" }, words));
}
