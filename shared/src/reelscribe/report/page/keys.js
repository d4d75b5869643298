// The keyboard, wherever the focus is; fields and buttons keep the keys that they need themselves.

const KEYS = [
  [[" ", "k"], "Play or pause", () => movie.toggle()],
  [["ArrowLeft", "j"], "Five seconds back", () => movie.seek(movie.position - 5)],
  [["ArrowRight", "l"], "Five seconds on", () => movie.seek(movie.position + 5)],
  [["p"], "The cue before", () => goToNeighbour(-1)],
  [["n"], "The cue after", () => goToNeighbour(1)],
  [["/"], "Search", () => byId("search").select()],
  [["c"], "Subtitles on or off", () => toggleCaptions()],
  [["+", "="], "Timeline: show less", () => zoom(0.5)],
  [["-"], "Timeline: show more", () => zoom(2)],
  [["0"], "Timeline: show all", () => setView(0, movie.duration)],
  [["?"], "This list", () => byId("help").showModal()],
];
const SHOWN = { " ": "Space", ArrowLeft: "←", ArrowRight: "→" };

function startKeys() {
  const lines = KEYS.flatMap(([keys, what]) => [make("dt", {}, ...keys.filter((key) => key !== "=").map((key) => make("kbd", {}, SHOWN[key] ?? key))), make("dd", {}, what)]);
  const list = [make("dt", {}, make("kbd", {}, "↑"), make("kbd", {}, "↓"), make("kbd", {}, "Enter")), make("dd", {}, "In the cues: choose one and go to it")];
  const close = make("button", { onclick: () => byId("help").close(), autofocus: true }, "Close");
  byId("help").append(make("h2", { id: "help-title" }, "Keyboard"), make("dl", {}, ...lines, ...list), close);
  byId("keys").addEventListener("click", () => byId("help").showModal());
  document.addEventListener("keydown", pressed);
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || byId("help").open) return;
  const { target } = event;
  if (event.key === "Escape" && target === byId("search")) {
    searchFor("");
    focusRow(0);
    return;
  }
  if (target.matches("input, select, textarea, [contenteditable]")) return;
  if (target.matches("video") && [" ", "ArrowLeft", "ArrowRight"].includes(event.key)) return;
  if (target.matches("button, summary") && event.key === " ") return;
  const action = KEYS.find(([keys]) => keys.includes(event.key))?.[2];
  if (!action) return;
  action();
  event.preventDefault();
}
