// Everything on the page is made here, as text: what came from the movie never becomes HTML.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

// make("td", {class: "number", onclick: f}, "text", node, …): an element; properties that are functions are listeners.
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

// 3725.4 → "1:02:05"; with `decimals`, "1:02:05.4".
function clock(seconds, decimals = 0) {
  const scale = 10 ** decimals;
  const all = Math.max(0, Math.floor(seconds * scale + 1e-6));
  const whole = Math.floor(all / scale);
  const two = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const fraction = decimals ? "." + String(all % scale).padStart(decimals, "0") : "";
  return (h ? `${h}:${two(m)}` : `${m}`) + `:${two(s)}${fraction}`;
}

// 5025 → "1 h 24 min", 61 → "1 min 1 s", 0.42 → "0.4 s".
function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min` + (s % 60 ? ` ${s % 60} s` : "");
  const m = Math.round(s / 60);
  return `${Math.floor(m / 60)} h` + (m % 60 ? ` ${m % 60} min` : "");
}

const counted = (n, one, many = one + "s") => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

// "hi" → "Hindi"; a code that nobody knows stays as it is.
function languageName(code) {
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(code);
  } catch {
    return code;
  }
}

// The last item of `items`, in order of start, that starts at or before `time`; -1 when there is none.
function lastBefore(items, time) {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle].start <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

// -- voices: a colour each, hues far apart first ------------------------------------------------------------------------

const HUES = [285, 160, 45, 225, 345, 110, 195, 15, 310, 75];
const voices = new Map(data.speakers.map((speaker, n) => [speaker.label, { ...speaker, hue: HUES[n % HUES.length] }]));

const voiceName = (label) => voices.get(label)?.name ?? label;
const voiceColour = (label) => (voices.has(label) ? `oklch(var(--voice-l) var(--voice-c) ${voices.get(label).hue})` : undefined);
