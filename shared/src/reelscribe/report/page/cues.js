// The table of cues. Rows outside of what is seen cost nothing: the style sheet gives them content-visibility.

const list = byId("list");
const table = { rows: [], shown: [], current: -1, chip: "all", touched: 0 };

const CHIPS = [
  ["all", "All", () => true],
  ["doubtful", "Doubtful", (cue) => cue.runs.some((run) => run.score !== undefined)],
  ["mended", "Corrected", (cue) => cue.runs.some((run) => run.was !== undefined)],
  ["marked", "Marked", (cue) => cue.marks.length > 0],
  ["broken", "Limits broken", (cue) => cue.faults.length > 0],
];

// -- rows ---------------------------------------------------------------------------------------------------------------

const characters = new Intl.Segmenter(undefined, { granularity: "grapheme" });

// "characters a second: 33, limit 20"; of a rule that is kept or not, its name.
function faultText({ rule, value, limit }) {
  const short = (number) => Number(number.toFixed(2)).toLocaleString("en");
  return value === 1 && limit === 0 ? rule : `${rule}: ${short(value)}, limit ${short(limit)}`;
}

// Characters a second, as they are read: without line breaks.
function readingSpeed(cue) {
  const text = cueText(cue).replaceAll("\n", " ");
  return [...characters.segment(text)].length / Math.max(0.001, cue.end - cue.start);
}

function makeRow(cue, before) {
  const speaker = cue.speakers[0];
  const said = make("div", { class: "said", role: "gridcell" });
  if (cue.speakers.join() !== before?.speakers.join()) said.append(...cue.speakers.map(whoSpeaks));
  said.append(...cueLines(cue));
  const faults = cue.faults.map((fault) => make("i", { class: "fault" }, faultText(fault)));
  const marks = cue.marks.map((mark) => make("i", {}, mark));
  if (faults.length || marks.length) said.append(make("div", { class: "marks" }, ...faults, ...marks));
  const fast = cue.faults.some((fault) => fault.rule.startsWith("characters a second"));
  return make(
    "div",
    { class: fast ? "row fast" : "row", role: "row", tabindex: -1, "aria-selected": "false", "--voice": voiceColour(speaker) },
    make("div", { class: "at", role: "gridcell", title: `cue ${cue.id}, ${(cue.end - cue.start).toFixed(2)} s` }, clock(cue.start, 1)),
    said,
    make("div", { class: "cps", role: "gridcell", title: "characters a second" }, String(Math.round(cue.cps ?? readingSpeed(cue)))),
  );
}

// With what the shades mean, where there are some.
function columnTitles() {
  const runs = movie.cues().flatMap((cue) => cue.runs);
  const title = (...content) => make("span", { role: "columnheader" }, ...content);
  const doubt = runs.some((run) => run.score !== undefined) ? make("mark", {}, "doubtful") : "";
  const mended = runs.some((run) => run.was !== undefined) ? make("ins", {}, "corrected") : "";
  return make("div", { class: "titles", role: "row" }, title("Time"), title("Cue", doubt, mended), title(make("abbr", { title: "characters a second" }, "CPS")));
}

const whoSpeaks = (label) => make("b", { class: "who", "--voice": voiceColour(label) }, voiceName(label));

// The lines of a cue; a run may go on from one into the next.
function cueLines(cue) {
  const lines = [make("span", { class: "line", dir: "auto" })];
  for (const run of cue.runs) {
    run.text.split("\n").forEach((text, n) => {
      if (n) lines.push(make("span", { class: "line", dir: "auto" }));
      if (text) lines.at(-1).append(runNode(run, text, n === 0));
    });
  }
  return lines;
}

function runNode(run, text, first) {
  if (run.was !== undefined) {
    const now = make("ins", { title: `heard: ${run.was}` }, text);
    return first ? make("span", {}, make("del", { "aria-label": `heard as ${run.was}` }, run.was), now) : now;
  }
  if (run.score === undefined) return text;
  const strength = Math.round(25 + 55 * (1 - run.score / data.doubtful));
  return make("mark", { title: `${Math.round(run.score * 100)} % sure`, "--doubtful": `${strength}%` }, text);
}

// -- filter and search --------------------------------------------------------------------------------------------------

const folded = (text) => text.normalize("NFKC").toLocaleLowerCase();

function searchText(cue) {
  const before = cue.runs.filter((run) => run.was !== undefined).map((run) => run.was);
  return folded([cueText(cue).replaceAll("\n", " "), ...cue.speakers.map(voiceName), ...before, ...cue.marks, ...cue.faults.map(faultText)].join("\n"));
}

function applyFilter() {
  const wanted = folded(byId("search").value.trim());
  const speaker = byId("speaker").value;
  const chosen = CHIPS.find(([name]) => name === table.chip)[2];
  table.shown = [];
  for (const row of table.rows) {
    const fits = chosen(row.cue) && (!speaker || row.cue.speakers.includes(speaker)) && (!wanted || row.text.includes(wanted));
    row.element.hidden = !fits;
    if (fits) table.shown.push(row);
  }
  const all = table.rows.length;
  byId("count").textContent = table.shown.length === all ? counted(all, "cue") : `${table.shown.length.toLocaleString("en")} of ${counted(all, "cue")}`;
  byId("none").hidden = table.shown.length > 0;
  byId("none").textContent = all ? "No cue is like that." : "There are no cues yet.";
  list.hidden = !table.shown.length;
  list.setAttribute("aria-rowcount", table.shown.length);
  reachable(table.shown.find((row) => row.number === table.current) ?? table.shown[0]);
}

function makeChips() {
  const chips = CHIPS.map(([name, title, fits]) => [name, title, movie.cues().filter(fits).length]).filter(([name, , n]) => n || name === "all");
  byId("chips").replaceChildren(
    ...chips.map(([name, title, n]) =>
      make("button", { "aria-pressed": String(table.chip === name), "data-chip": name, onclick: () => pressChip(name) }, `${title} `, make("b", {}, n.toLocaleString("en"))),
    ),
  );
}

function pressChip(name) {
  table.chip = name;
  for (const chip of byId("chips").children) chip.setAttribute("aria-pressed", String(chip.dataset.chip === name));
  applyFilter();
}

function searchFor(text) {
  byId("search").value = text;
  byId("speaker").value = "";
  pressChip("all");
  byId("cues").scrollIntoView({ block: "nearest" });
}

// -- the row that is spoken, and the one that has the focus -------------------------------------------------------------

// Exactly one row is in the order of tabs.
function reachable(row) {
  list.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
  row?.element.setAttribute("tabindex", "0");
}

function currentRow(time) {
  const n = lastBefore(movie.cues(), time + 0.001);
  return n >= 0 && time < movie.cues()[n].end + 0.001 ? n : -1;
}

function showCurrent(time) {
  const n = currentRow(time);
  if (n === table.current) return;
  table.rows[table.current]?.element.setAttribute("aria-selected", "false");
  table.current = n;
  const row = table.rows[n];
  if (!row) return;
  row.element.setAttribute("aria-selected", "true");
  if (byId("follow").getAttribute("aria-pressed") === "true" && !row.element.hidden && !list.matches(":hover")) reveal(row.element);
}

// Scrolls the list and never the page. Twice, because the heights of rows that were never seen are guesses.
function reveal(element, again = true) {
  const [box, place] = [list.getBoundingClientRect(), element.getBoundingClientRect()];
  if (place.top < box.top + 36 || place.bottom > box.bottom - 8) list.scrollTop += place.top - box.top - (box.height - place.height) / 2;
  if (again) requestAnimationFrame(() => reveal(element, false));
}

const go = (row) => movie.seek(row.cue.start + 0.001);

// The cue before (-1) or after (1) where the movie is, among those that are shown.
function goToNeighbour(direction) {
  const starts = table.shown.map((row) => row.cue);
  const n = lastBefore(starts, movie.position + 0.002);
  const next = direction > 0 ? n + 1 : movie.position - (starts[n]?.start ?? 0) > 1.5 ? n : n - 1;
  const row = table.shown[Math.min(Math.max(0, next), table.shown.length - 1)];
  if (!row) return;
  go(row);
  reveal(row.element);
}

const ROW_KEYS = { ArrowDown: (n) => n + 1, ArrowUp: (n) => n - 1, PageDown: (n) => n + 10, PageUp: (n) => n - 10, Home: () => 0, End: () => Infinity };

function listKeys(event) {
  const n = table.shown.findIndex((row) => row.element === event.target);
  if (n < 0) return;
  if (event.key === "Enter") go(table.shown[n]);
  else if (ROW_KEYS[event.key]) focusRow(Math.min(Math.max(0, ROW_KEYS[event.key](n)), table.shown.length - 1));
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function focusRow(n) {
  const row = table.shown[n];
  if (!row) return;
  reachable(row);
  row.element.focus({ preventScroll: true });
  reveal(row.element);
}

// -- beginning ----------------------------------------------------------------------------------------------------------

function remakeRows() {
  const cues = movie.cues();
  table.current = -1;
  list.style.setProperty("--at", movie.duration < 3600 ? "50px" : "64px"); // the times' column
  table.rows = cues.map((cue, n) => ({ cue, number: n, text: searchText(cue), element: makeRow(cue, cues[n - 1]) }));
  list.replaceChildren(columnTitles(), ...table.rows.map((row) => row.element));
  makeChips();
  applyFilter();
}

// Everything that is made of cues, anew.
function redrawCues() {
  remakeRows();
  remakeTimeline();
  drawTimeline();
  movie.tell();
}

// Languages, unless two tracks have the same.
function trackName(track) {
  const same = data.tracks.filter((one) => one.language === track.language);
  return same.length > 1 ? track.title : languageName(track.language);
}

function startCues() {
  const spoken = new Set(data.tracks.flatMap((track) => track.cues.flatMap((cue) => cue.speakers)));
  const option = (value, text) => make("option", { value }, text);
  byId("speaker").append(option("", "Everybody"), ...[...spoken].map((label) => option(label, voiceName(label))));
  byId("speaker").hidden = spoken.size < 2;
  byId("track").append(...data.tracks.map((track, n) => option(n, trackName(track))));
  byId("track").hidden = data.tracks.length < 2;
  byId("track").addEventListener("change", () => {
    showTrack(Number(byId("track").value));
    redrawCues();
  });
  byId("search").addEventListener("input", applyFilter);
  byId("speaker").addEventListener("change", applyFilter);
  byId("follow").addEventListener("click", ({ target }) => target.setAttribute("aria-pressed", String(target.getAttribute("aria-pressed") !== "true")));
  list.addEventListener("click", (event) => {
    const element = event.target.closest(".row");
    const row = table.rows.find((one) => one.element === element);
    if (!row || String(getSelection())) return;
    reachable(row);
    go(row);
  });
  list.addEventListener("keydown", listKeys);
  movie.onTime(showCurrent);
  remakeRows();
}
