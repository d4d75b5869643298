// The head, the banners and what is below the movie: voices, corrections, glossary, stages.

function showHead() {
  const { movie: about, timeline } = data;
  byId("title").append(about.title, about.year ? make("small", {}, ` ${about.year}`) : "");
  const facts = [
    about.directors.length ? `Directed by ${about.directors.join(" and ")}` : "",
    timeline.duration ? duration(timeline.duration) : "",
    about.language ? languageName(about.language) : "",
    about.engine,
    about.file === about.title ? "" : about.file,
  ];
  byId("facts").append(...facts.filter(Boolean).map((fact) => make("span", {}, fact)));
  const figure = (value, name) => make("div", {}, make("dt", {}, name), make("dd", {}, value));
  const figures = [];
  const cues = data.tracks[0]?.cues.length ?? 0;
  if (cues) figures.push(figure(cues.toLocaleString("en"), "cues"));
  if (about.words) figures.push(figure(about.words.toLocaleString("en"), "words"), figure(`${((100 * about.doubtful) / about.words).toFixed(about.doubtful ? 1 : 0)} %`, "of them doubtful"));
  if (data.speakers.length) figures.push(figure(data.speakers.length, data.speakers.length === 1 ? "voice" : "voices"));
  const mended = data.corrections.filter((change) => !change.undone).length;
  if (data.corrections.length) figures.push(figure(mended, mended === 1 ? "correction" : "corrections"));
  byId("figures").append(...figures);
}

const showBanners = () =>
  byId("banners").append(...data.banners.map(({ kind, title, text }) => make("p", { class: `banner ${kind}`, role: "status" }, make("b", {}, title), text)));

function section(name, title, note, ...content) {
  byId("sections").append(make("section", { class: `card ${name}` }, make("h2", {}, title, note ? make("small", {}, note) : ""), ...content));
}

function makeTable(titles, rows, foot = "") {
  const head = make("thead", {}, make("tr", {}, ...titles.map(([title, kind]) => make("th", { class: kind, scope: "col" }, title))));
  return make("table", {}, head, make("tbody", {}, ...rows), foot);
}

const cell = (kind, ...content) => make("td", { class: kind }, ...content);
const seekButton = (time) => make("button", { class: "link", onclick: () => movie.seek(time), "aria-label": `Go to ${clock(time, 1)}` }, clock(time, 1));

// -- voices -------------------------------------------------------------------------------------------------------------

function showVoices() {
  if (!data.speakers.length) return;
  const most = Math.max(...data.speakers.map((speaker) => speaker.total_s), 0.001);
  const rows = data.speakers.map((speaker) => {
    const { label, name, total_s: total } = speaker;
    return make(
      "div",
      { "--voice": voiceColour(label), "--share": `${(100 * total) / most}%` },
      make("span", { class: "label", title: name === label ? name : `${name} (${label})` }, name),
      make("span", { class: "gauge", "aria-hidden": "true" }, make("i")),
      make("span", { class: "number quiet" }, duration(total)),
      speaker.suggested ? whyNamed(speaker) : "",
    );
  });
  section("", "Voices", counted(data.speakers.length, "voice"), make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Voices" }, make("div", { class: "voices" }, ...rows)));
}

// Which character a voice may be, and what was said that speaks for it.
function whyNamed({ name, suggested, confidence, evidence }) {
  const sure = confidence === null || confidence === undefined ? "" : ` (${Math.round(confidence * 100)} % sure)`;
  const title = name === suggested ? `Why ${suggested}` : `Perhaps ${suggested}`;
  const said = evidence.map(({ kind, start, text }) => make("li", {}, seekButton(start), ` ${text} `, make("small", {}, kind)));
  return make("details", { class: "why" }, make("summary", {}, title + sure), make("ul", {}, ...said));
}

// -- quality ------------------------------------------------------------------------------------------------------------

function showQuality() {
  if (!data.quality) return;
  const faults = data.tracks.flatMap((track) => track.cues.flatMap((cue) => cue.faults));
  const rules = new Map();
  for (const { rule } of faults) rules.set(rule, (rules.get(rule) ?? 0) + 1);
  const terms = [...rules].sort((a, b) => b[1] - a[1]).map(([rule, n]) => make("button", { onclick: () => searchFor(rule) }, rule, make("b", {}, ` ×${n}`)));
  const { profile, shots, hidden } = data.quality;
  const content = terms.length ? make("div", { class: "terms" }, ...terms) : make("p", {}, "Every cue keeps every limit.");
  const left = hidden.map(({ start, text, marks }) => make("tr", {}, cell("number", seekButton(start)), cell("", text, make("small", {}, marks.join(", ")))));
  const rest = left.length ? [make("h3", {}, "Not shown"), make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Not shown" }, make("table", {}, make("tbody", {}, ...left)))] : [];
  section("", "Quality", `profile ${profile}${shots ? ", shot changes known" : ""}`, content, ...rest);
}

// -- corrections --------------------------------------------------------------------------------------------------------

const RULES = { user: "your glossary", accepted: "accepted by you", spelling: "sounds like it", joined: "one name heard as several words", split: "several words heard as one" };

function showCorrections() {
  if (!data.corrections.length) return;
  const rows = data.corrections.map(({ id, start, old, new: now, rule, score, undone }) =>
    make(
      "tr",
      { class: undone ? "undone" : "" },
      cell("number", seekButton(start)),
      cell("", make(undone ? "span" : "del", {}, old)),
      cell("", undone ? `${now} (taken back)` : make("ins", {}, now)),
      cell("why", make("small", {}, RULES[rule] ?? rule), make("small", { title: "for --corrections DIR --undo ID" }, id)),
      cell("number", score === undefined || score === null ? "" : score.toFixed(2)),
    ),
  );
  const titles = [["At", "number"], ["Heard"], ["Written"], ["Why", "why"], ["Score", "number"]];
  section("corrections", "Corrections", String(data.corrections.length), make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Corrections" }, makeTable(titles, rows)));
}

// -- glossary -----------------------------------------------------------------------------------------------------------

const KINDS = { character: "Characters", person: "People", place: "Places", organisation: "Organisations", title: "Titles", other: "Others" };

function showGlossary() {
  if (!data.glossary.length) return;
  const said = data.glossary.filter((term) => term.count);
  const unheard = data.glossary.filter((term) => !term.count);
  const groups = Object.entries(KINDS).flatMap(([kind, title]) => {
    const terms = said.filter((term) => term.kind === kind);
    return terms.length ? [make("h3", {}, title), make("div", { class: "terms" }, ...terms.map(termButton))] : [];
  });
  if (unheard.length) groups.push(make("details", { open: !said.length }, make("summary", {}, `${counted(unheard.length, "name")} not in the words`), make("div", { class: "terms" }, ...unheard.map(termButton))));
  section("", "Glossary", `${said.length} of ${counted(data.glossary.length, "name")} said`, make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Glossary" }, ...groups));
}

function termButton(term) {
  const title = [term.source, ...(term.variants.length ? [`also ${term.variants.join(", ")}`] : [])].join("\n");
  return make("button", { class: term.count ? "" : "unheard", title, onclick: () => searchFor(term.text) }, term.text, term.count ? make("b", {}, ` ×${term.count}`) : "");
}

// -- stages -------------------------------------------------------------------------------------------------------------

function showStages() {
  const done = data.stages.filter((stage) => stage.state !== "not run");
  const longest = Math.max(...done.map((stage) => stage.seconds), 0.001);
  const total = done.reduce((sum, stage) => sum + stage.seconds, 0);
  const peak = Math.max(...done.map((stage) => stage.peak_mb), 0);
  const foot = make("tfoot", {}, make("tr", {}, cell("", "Together"), cell("device", ""), cell("number", duration(total)), cell("number", peak ? memory(peak) : "")));
  const titles = [["Stage"], ["Device", "device"], ["Time", "number"], ["Memory", "number"]];
  const speed = data.timeline.duration && total ? `${Number((total / data.timeline.duration).toPrecision(2))} × the movie's length` : "";
  const rows = data.stages.map((stage) => stageRow(stage, longest));
  section("wide stages", "How it was made", done.length ? speed : "", makeTable(titles, rows, done.length ? foot : ""));
}

const memory = (mb) => (mb >= 1024 ? `${(mb / 1024).toFixed(1)} GB` : `${mb} MB`);

function stageRow(stage, longest) {
  const name = make("td", {}, make("span", { class: `state ${stage.state.replace(" ", "-")}` }), stage.name);
  if (stage.state === "not run") return make("tr", {}, name, cell("device", make("small", {}, "not run")), cell("", ""), cell("", ""));
  const tool = [stage.engine, stage.model].filter(Boolean).join(", ");
  if (tool) name.append(make("small", {}, tool));
  const device = [stage.device, stage.compute].filter(Boolean).join(" ");
  name.append(make("small", { class: "short" }, device));
  for (const fallback of stage.fallbacks) name.append(make("small", { class: "fallback" }, fallback));
  if (stage.state !== "done") name.append(make("small", { class: "error" }, stage.error || `It was ${stage.state}.`));
  const settings = Object.entries(stage.settings).map(([key, value]) => make("small", {}, `${key} = ${value}`));
  if (settings.length) name.append(make("details", {}, make("summary", {}, counted(settings.length, "setting")), ...settings));
  return make(
    "tr",
    {},
    name,
    cell("device", device || "–", make("small", {}, stage.reason)),
    cell("number", duration(stage.seconds), make("span", { class: "gauge", "--share": `${(100 * stage.seconds) / longest}%` }, make("i"))),
    cell("number", stage.peak_mb ? memory(stage.peak_mb) : ""),
  );
}
