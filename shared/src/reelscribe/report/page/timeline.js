// The timeline: lanes drawn on a canvas, over the part of the movie between view.start and view.end.

const RULER = 26;
const GAP = 9; // between lanes
const MOST_VOICES = 8; // lanes of their own; all others share one
const view = { start: 0, end: 1, lanes: [], marks: null };
const area = byId("lane-area");
const canvas = byId("canvas");

// -- what there is to draw: {name, height, items: [{start, end, colour or voice, text, marked}]} ---------------------------------

function makeLanes() {
  const t = data.timeline;
  const spans = (list, colour, text) => list.map(([start, end]) => ({ start, end, colour, text }));
  const lanes = t.speech.map(({ name, spans: heard }) => ({ name, height: 9, items: spans(heard, "--faint", `speech, as ${name} hears it`) }));
  lanes.push(...voiceLanes(t.turns));
  const cues = movie.cues();
  if (cues.length) lanes.push({ name: "Cues", height: 20, items: cues.map(cueItem) });
  if (t.holes.length) lanes.push({ name: "No words", height: 8, items: spans(t.holes, "--wrong", "speech that no cue covers") });
  if (t.shots?.length) lanes.push({ name: "Shots", height: 10, items: t.shots.map((start) => ({ start, end: start, colour: "--soft", text: "cut" })) });
  if (t.chunks.length) lanes.push({ name: "Chunks", height: 8, items: t.chunks.map(chunkItem) });
  return lanes;
}

function voiceLanes(turns) {
  const labels = [...new Set([...voices.keys(), ...turns.map((turn) => turn[2])])];
  const talks = labels.filter((label) => turns.some((turn) => turn[2] === label));
  const own = talks.length > MOST_VOICES ? talks.slice(0, MOST_VOICES - 1) : talks;
  const lane = (name, mine) => ({ name, height: 12, items: turns.filter((turn) => mine(turn[2])).map(turnItem) });
  const lanes = own.map((label) => lane(voiceName(label), (one) => one === label));
  if (own.length < talks.length) lanes.push(lane(`${talks.length - own.length} more`, (one) => !own.includes(one)));
  return lanes;
}

const turnItem = ([start, end, label]) => ({ start, end, voice: label, text: voiceName(label) });

function cueItem(cue) {
  const told = [...cue.faults.map(faultText), ...cue.marks];
  const marked = cue.faults.length ? "--wrong" : cue.marks.length ? "--doubt" : "";
  return { start: cue.start, end: cue.end, voice: cue.speakers[0], marked, text: [cueText(cue), ...told.map((one) => `· ${one}`)].join("\n") };
}

function chunkItem(chunk, n) {
  const state = !chunk.decoded ? "not decoded" : chunk.degraded.length ? `decoded with less: ${chunk.degraded.join(", ")}` : "decoded";
  const colour = chunk.decoded ? (chunk.degraded.length ? "--doubt" : "--faint") : "--line";
  return { start: chunk.start, end: chunk.end, colour, text: `chunk ${n + 1}, ${state}` };
}

// -- drawing ------------------------------------------------------------------------------------------------------------

const timeToX = (time) => ((time - view.start) / (view.end - view.start)) * area.clientWidth;
const xToTime = (x) => view.start + (x / area.clientWidth) * (view.end - view.start);

// A colour of the style sheet as the canvas needs it.
function painter() {
  const style = getComputedStyle(document.documentElement);
  const known = new Map();
  const named = (name) => style.getPropertyValue(name).trim();
  return ({ colour, voice }) => {
    const key = colour ?? voice;
    if (!known.has(key)) {
      const hue = voices.get(voice)?.hue;
      known.set(key, colour ? named(colour) : hue === undefined ? named("--faint") : `oklch(${named("--voice-l")} ${named("--voice-c")} ${hue})`);
    }
    return known.get(key);
  };
}

function drawTimeline() {
  const width = area.clientWidth;
  const height = RULER + view.lanes.reduce((sum, lane) => sum + lane.height + GAP, 0);
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const paint = painter();
  drawRuler(pen, paint, width, height);
  for (const lane of view.lanes) {
    pen.fillStyle = paint({ colour: "--sunk" });
    pen.beginPath();
    pen.roundRect(0, lane.top, width, lane.height, lane.height / 2);
    pen.fill();
    for (const item of lane.items) drawItem(pen, paint, lane, item, width);
  }
}

function drawItem(pen, paint, lane, item, width) {
  const left = timeToX(item.start);
  const right = timeToX(item.end);
  if (right < 0 || left > width) return;
  pen.fillStyle = paint(item);
  // A hair of space keeps neighbours apart, unless that would leave nothing to see.
  const wide = Math.max(right - left - (right - left > 3 ? 1 : 0), 1.5);
  if (wide < 4) {
    pen.fillRect(left, lane.top, wide, lane.height);
  } else {
    pen.beginPath();
    pen.roundRect(left, lane.top, wide, lane.height, Math.min(3, wide / 2));
    pen.fill();
  }
  if (!item.marked) return;
  pen.fillStyle = paint({ colour: item.marked });
  pen.fillRect(left, lane.top + lane.height - 4, wide, 4);
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

function drawRuler(pen, paint, width, height) {
  const step = STEPS.find((one) => timeToX(view.start + one) >= 64) ?? 3600;
  pen.font = "11px ui-sans-serif, system-ui, sans-serif";
  for (let time = Math.ceil(view.start / step) * step; time <= view.end; time += step) {
    const x = timeToX(time);
    pen.fillStyle = paint({ colour: "--line" });
    pen.fillRect(x, RULER - 6, 1, height);
    pen.fillStyle = paint({ colour: "--soft" });
    pen.textAlign = x < 20 ? "left" : x > width - 20 ? "right" : "center";
    pen.fillText(clock(time), x, 12);
  }
  for (const [start, , title] of data.timeline.chapters) {
    pen.fillStyle = paint({ colour: "--accent" });
    if (title || start) pen.fillRect(timeToX(start), RULER - 8, 2, 7);
  }
}

// -- where one looks ----------------------------------------------------------------------------------------------------

function setView(start, end) {
  const all = movie.duration || 1;
  const length = Math.min(all, Math.max(Math.min(5, all), end - start));
  view.start = Math.min(Math.max(0, start), all - length);
  view.end = view.start + length;
  drawTimeline();
  placeHead(movie.position);
}

// factor < 1 shows less; what is at `time` stays where it is.
function zoom(factor, time = movie.position) {
  const anchor = Math.min(Math.max(time, view.start), view.end);
  setView(anchor - (anchor - view.start) * factor, anchor + (view.end - anchor) * factor);
}

function placeHead(time) {
  const head = byId("playhead");
  head.hidden = time < view.start || time > view.end;
  head.style.transform = `translateX(${timeToX(time)}px)`;
}

function followTime(time) {
  const outside = time < view.start || time > view.end;
  if (outside || (!movie.video.paused && time > view.end - (view.end - view.start) * 0.05)) {
    const length = view.end - view.start;
    if (length < movie.duration) setView(time - length * 0.1, time + length * 0.9);
  }
  placeHead(time);
  byId("clock").replaceChildren(clock(time, 1), make("small", {}, ` / ${clock(movie.duration)}`));
  const chapter = data.timeline.chapters.find(([start, end]) => start <= time && time < end);
  byId("chapter").textContent = chapter?.[2] ?? "";
  area.setAttribute("aria-valuemax", movie.duration.toFixed(1));
  area.setAttribute("aria-valuenow", time.toFixed(1));
  area.setAttribute("aria-valuetext", clock(time));
}

// -- pointer and keys ---------------------------------------------------------------------------------------------------

function itemAt(x, y) {
  const lane = view.lanes.find((one) => y >= one.top - 4 && y < one.top + one.height + 4);
  const [from, to] = [xToTime(x - 2), xToTime(x + 2)];
  return lane?.items.find((item) => item.start <= to && item.end >= from);
}

function showHint(event) {
  const box = area.getBoundingClientRect();
  const x = event.clientX - box.left;
  const item = itemAt(x, event.clientY - box.top);
  const hint = byId("hint");
  hint.hidden = false;
  hint.textContent = clock(xToTime(x), 1) + (item ? `\n${item.text}` : "");
  hint.style.left = `${Math.min(Math.max(0, x - hint.offsetWidth / 2), box.width - hint.offsetWidth)}px`;
}

const LANE_KEYS = {
  ArrowLeft: (far) => movie.seek(movie.position - (far ? 10 : 1)),
  ArrowRight: (far) => movie.seek(movie.position + (far ? 10 : 1)),
  PageDown: () => movie.seek(movie.position + 60),
  PageUp: () => movie.seek(movie.position - 60),
  Home: () => movie.seek(0),
  End: () => movie.seek(movie.duration),
};

function startTimeline() {
  area.addEventListener("pointerdown", (event) => {
    area.setPointerCapture(event.pointerId);
    movie.seek(xToTime(event.offsetX));
  });
  area.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse") showHint(event);
    if (event.buttons) movie.seek(xToTime(event.clientX - area.getBoundingClientRect().left));
  });
  area.addEventListener("pointerleave", () => (byId("hint").hidden = true));
  area.addEventListener("wheel", wheel, { passive: false });
  area.addEventListener("keydown", (event) => {
    const action = LANE_KEYS[event.key];
    if (!action) return;
    action(event.shiftKey);
    event.preventDefault();
    event.stopPropagation();
  });
  byId("zoom-in").addEventListener("click", () => zoom(0.5));
  byId("zoom-out").addEventListener("click", () => zoom(2));
  byId("zoom-all").addEventListener("click", () => setView(0, movie.duration));
  new ResizeObserver(() => setView(view.start, view.end)).observe(area);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawTimeline);
  movie.onTime(followTime);
  remakeTimeline();
  setView(0, movie.duration);
  followTime(0);
}

// Lanes with their places; called again when another track is shown.
function remakeTimeline() {
  view.lanes = makeLanes();
  let top = RULER;
  const names = byId("lane-names");
  names.replaceChildren();
  for (const lane of view.lanes) {
    lane.top = top + 4;
    top += lane.height + GAP;
    const name = make("span", { title: lane.name }, lane.name);
    name.style.top = `${lane.top + lane.height / 2}px`;
    names.append(name);
  }
}

// With Ctrl (or by pinching) the wheel zooms, sideways it moves; else the page scrolls.
function wheel(event) {
  const length = view.end - view.start;
  if (event.ctrlKey) zoom(Math.exp(event.deltaY / 200), xToTime(event.offsetX));
  else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) setView(view.start + (event.deltaX / area.clientWidth) * length, view.end + (event.deltaX / area.clientWidth) * length);
  else return;
  event.preventDefault();
}
