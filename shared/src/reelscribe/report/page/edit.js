// Editing, on a page that reelscribe.review serves: cues where they stand, everything else in a section of its own. The server keeps what
// is written and runs what follows; the page asks how far that is and then shows what came of it.

const review = { editor: null, failed: "", gone: false, timer: 0 };
const STATES = { idle: "Saved · subtitles are up to date", subtitles: "Saved · updating subtitles…", movie: "Saved · writing the subtitled movie…" };

// -- talking to the server ----------------------------------------------------------------------------------------------

async function ask(address, content) {
  const options = content ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) } : {};
  let answer;
  try {
    answer = await fetch(address, { ...options, cache: "no-store" });
  } catch {
    review.gone = true;
    showState();
    throw new Error("The review has ended. Start it again to go on.");
  }
  review.gone = false;
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error);
  return said;
}

// Whether it was kept; what was wrong is shown in `place`.
async function save(content, place) {
  place.textContent = "";
  try {
    known(await ask("./do", content));
    return true;
  } catch (error) {
    place.textContent = error.message;
    poll(0);
    return false;
  }
}

// What the server says of itself; a new version brings new cues, unless somebody is writing.
function known(said) {
  const before = JSON.stringify([data.review.edits, data.review.lines, data.review.names]);
  const { version } = data.review;
  data.review = { ...said, version };
  showState();
  if (said.version !== version && !isWriting()) refresh();
  else if (before !== JSON.stringify([said.edits, said.lines, said.names]) && !isWriting()) showReview();
  poll(said.pending ? 400 : said.behind || said.version !== version ? 1000 : 5000);
}

function poll(wait) {
  clearTimeout(review.timer);
  review.timer = setTimeout(() => ask("./state").then(known, () => poll(5000)), wait);
}

async function refresh() {
  try {
    const fresh = await ask("./data");
    if (!isWriting()) showFresh(fresh);
  } catch (error) {
    byId("review-state").textContent = error.message;
  }
}

// Half-written text is never taken from under the user.
const isWriting = () => Boolean(review.editor || document.querySelector("#review input.unsaved"));

function showState() {
  const { state, message, pending } = data.review;
  const saved = state === "idle" && pending ? STATES.subtitles : STATES[state];
  const nothing = state === "idle" && !pending && !data.review.edits.length && !data.review.version;
  byId("review-state").textContent = review.gone ? "The review has ended; what was saved is kept." : nothing ? "Click a cue's text to edit it." : (saved ?? message);
  byId("review-bar").dataset.state = review.gone ? "failed" : state;
  byId("review-again").hidden = state !== "failed" || review.gone;
}

// -- what has come ------------------------------------------------------------------------------------------------------

function showFresh(fresh) {
  const focused = table.shown.findIndex((row) => row.element === document.activeElement);
  const { scrollTop } = list;
  Object.assign(data, fresh);
  for (const speaker of data.speakers) voices.set(speaker.label, { hue: HUES[voices.size % HUES.length], ...voices.get(speaker.label), ...speaker });
  captions.forEach((_, n) => fillCaptions(n));
  for (const option of byId("speaker").options) if (option.value) option.textContent = voiceName(option.value);
  remakeRows();
  remakeTimeline();
  drawTimeline();
  byId("sections").replaceChildren();
  for (const show of [showVoices, showQuality, showCorrections, showGlossary, showStages]) show();
  byId("figures").replaceChildren();
  byId("title").replaceChildren();
  byId("facts").replaceChildren();
  showHead();
  showReview();
  list.scrollTop = scrollTop;
  if (focused >= 0) focusRow(focused);
  movie.tell();
  showState();
}

// -- a cue --------------------------------------------------------------------------------------------------------------

function edit(row) {
  const { cue } = row;
  if (!cue.edit || review.editor) return;
  const field = make("textarea", { "aria-label": "Text of the cue", dir: "auto", maxlength: 2000, spellcheck: true, rows: Math.max(2, cueText(cue).split("\n").length) });
  field.value = cue.edit.written ?? cue.edit.text;
  const fault = make("p", { class: "wrong", role: "alert" });
  const box = make("div", { class: "editor" }, field, fault);
  const said = row.element.querySelector(".said");
  const close = () => {
    review.editor = null;
    box.remove();
    said.hidden = false;
    row.element.focus({ preventScroll: true });
    poll(0);
  };
  const keep = async () => {
    const text = field.value;
    if (text === (cue.edit.written ?? cue.edit.text)) return close();
    field.disabled = true;
    const { english, start, end } = cue.edit;
    const was = cue.edit.written ?? cue.edit.text;
    const kept = await save({ do: "text", english, start, end, was, text }, fault);
    field.disabled = false;
    if (!kept) return field.focus();
    cue.edit.written = text;
    said.replaceChildren(...text.split("\n").map((line) => make("span", { class: "line written", dir: "auto" }, line)));
    close();
  };
  const lines = cue.edit.text.split("\n").length;
  const note = lines > 1 ? `A line for each of the ${lines} who speak. ` : "";
  box.append(make("div", { class: "does" }, make("button", { class: "save", onclick: keep }, "Save"), make("button", { onclick: close }, "Cancel"), make("small", {}, `${note}Enter saves, Esc leaves it as it was.`)));
  box.addEventListener("click", (event) => event.stopPropagation());
  box.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") close();
    else if (event.key === "Enter" && event.target === field && !event.shiftKey && !event.isComposing) keep();
    else return;
    event.preventDefault();
  });
  review.editor = box;
  said.hidden = true;
  said.after(box);
  field.focus();
  field.setSelectionRange(field.value.length, field.value.length);
}

const rowOf = (element) => table.rows.find((row) => row.element === element);

// -- everything else ----------------------------------------------------------------------------------------------------

function showReview() {
  const { edits, lines } = data.review;
  const fault = make("p", { class: "wrong", role: "alert" });
  const parts = [fault];
  if (data.speakers.length) parts.push(make("h3", {}, "Who is who"), make("div", { class: "fields" }, ...data.speakers.map((speaker) => nameField(speaker, fault))));
  parts.push(make("h3", {}, "Names and spellings"), lineField(fault));
  parts.push(...lines.map((line) => change(line, "Remove", { do: "forget", line }, fault)));
  if (edits.length) parts.push(make("h3", {}, counted(edits.length, "edited cue")));
  for (const one of edits) parts.push(editedCue(one, fault));
  const card = make("section", { class: "card review", id: "review" }, make("h2", {}, "Review"), ...parts);
  const before = byId("review");
  if (before) before.replaceWith(card);
  else byId("sections").prepend(card);
}

function nameField({ label, name }, fault) {
  const now = data.review.names[label] ?? name;
  const field = make("input", { "aria-label": `Name of ${name}`, maxlength: 100, spellcheck: false, "data-label": label });
  field.value = now;
  const keep = async () => {
    if (field.value === now || !(await save({ do: "name", label, name: field.value }, fault))) return;
    field.classList.remove("unsaved");
    poll(0);
  };
  return make("label", { "--voice": voiceColour(label) }, field, ...writing(field, now, keep));
}

function lineField(fault) {
  const field = make("input", { "aria-label": "A name, heard => right, or !word", placeholder: "Jaidev Rathore, jay dev => Jaidev, or !word", maxlength: 220, spellcheck: false });
  const keep = async () => {
    if (!field.value.trim() || !(await save({ do: "line", line: field.value }, fault))) return;
    field.value = "";
    field.classList.remove("unsaved");
    showReview();
    byId("review").querySelector("[placeholder]").focus();
  };
  return make("div", { class: "fields" }, make("label", {}, field, ...writing(field, "", keep)));
}

// Enter or the button keeps what is in the field, Esc takes it back.
function writing(field, before, keep) {
  const button = make("button", { onclick: keep, hidden: true }, "Save");
  const look = () => {
    button.hidden = field.value === before;
    field.classList.toggle("unsaved", field.value !== before);
  };
  field.addEventListener("input", look);
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter" && !event.isComposing) keep();
    if (event.key !== "Escape") return;
    field.value = before;
    look();
  });
  return [button];
}

const change = (what, title, content, fault) => make("div", { class: "change" }, what, make("button", { onclick: () => save(content, fault) }, title));

function editedCue({ id, start, was, text, stale }, fault) {
  const words = make("span", {}, make("del", {}, was), " ", make("ins", {}, text || "(nothing)"), stale ? make("small", { class: "wrong" }, " Something else is heard there now, so this is not in the subtitles.") : "");
  return change(make("span", {}, seekButton(start), " ", words), "Take back", { do: "take back", id }, fault);
}

// -- beginning ----------------------------------------------------------------------------------------------------------

function startReview() {
  const again = make("button", { id: "review-again", hidden: true, onclick: () => ask("./do", { do: "again" }).then(known, () => {}) }, "Try again");
  document.body.append(make("div", { class: "review-bar", id: "review-bar" }, make("output", { id: "review-state", role: "status" }), again));
  list.addEventListener("click", ({ target }) => {
    if (target.closest(".line") && !String(getSelection())) edit(rowOf(target.closest(".row")));
  });
  // Before the table's own keys, which go to the cue: both happen.
  list.addEventListener("keydown", (event) => event.key === "Enter" && rowOf(event.target) && edit(rowOf(event.target)), true);
  addEventListener("beforeunload", (event) => isWriting() && event.preventDefault());
  byId("help").querySelector("dl").append(make("dt", {}, make("kbd", {}, "Enter")), make("dd", {}, "On a cue: edit it; again: save it"), make("dt", {}, make("kbd", {}, "Esc")), make("dd", {}, "Leave the cue as it was"));
  document.body.classList.add("editable");
  showReview();
  showState();
  poll(1000);
}

startReview();
