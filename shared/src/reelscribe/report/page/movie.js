// The movie: what plays it, where it is, and its captions.

const movie = {
  video: byId("video"),
  position: 0,
  duration: data.timeline.duration,
  source: -1,
  track: 0, // of data.tracks: the one that is shown
  listeners: [],

  // listener(time) is called whenever the position changes.
  onTime(listener) {
    this.listeners.push(listener);
  },

  seek(time) {
    const end = this.duration ? Math.max(0, this.duration - 0.01) : time;
    this.position = Math.min(Math.max(0, time), end);
    if (this.source >= 0) this.video.currentTime = this.position;
    this.tell();
  },

  toggle() {
    if (this.source < 0) return;
    if (this.video.paused) this.video.play().catch(() => {});
    else this.video.pause();
  },

  tell() {
    for (const listener of this.listeners) listener(this.position);
  },

  cues() {
    return data.tracks[this.track]?.cues ?? [];
  },
};

const cueText = (cue) => cue.runs.map((run) => run.text).join("");

function startMovie() {
  const { video } = movie;
  const moved = () => {
    movie.position = video.currentTime;
    movie.tell();
  };
  const run = () => {
    moved();
    if (!video.paused && !video.ended) requestAnimationFrame(run);
  };
  for (const event of ["timeupdate", "seeked", "pause"]) video.addEventListener(event, moved);
  video.addEventListener("play", run);
  video.addEventListener("loadedmetadata", () => {
    if (!movie.duration) {
      movie.duration = video.duration;
      setView(0, movie.duration);
    }
    if (video.videoWidth) video.style.aspectRatio = `${video.videoWidth} / ${video.videoHeight}`;
    const unseen = data.movie.picture && !video.videoWidth && !isDialogue();
    if (unseen) tellOfMovie("This browser plays the movie's sound, but cannot show its picture.");
    else byId("sound").hidden = movie.source === 0;
  });
  video.addEventListener("timeupdate", () => {
    if (isSilent()) tellOfMovie("This browser shows the movie's picture, but cannot play its sound.");
  });
  video.addEventListener("error", nextSource);
  // Some players show the subtitles inside the movie of themselves: then they would be there twice.
  video.textTracks.addEventListener("addtrack", ({ track }) => {
    if (!captions.includes(track)) track.mode = "disabled";
  });
  makeCaptions();
  nextSource();
}

const isDialogue = () => data.videos[movie.source]?.endsWith(".wav");

// Chromium counts what it has decoded (others count nothing). With a sound that it does not know it plays on, and says nothing.
function isSilent() {
  const { played, webkitAudioDecodedByteCount: heard, webkitVideoDecodedByteCount: seen } = movie.video;
  return heard === 0 && seen > 0 && played.length > 0 && played.end(0) - played.start(0) > 1;
}

function tellOfMovie(text) {
  byId("sound").textContent = text;
  byId("sound").hidden = false;
}

// The subtitled movie; when it cannot be played, the movie itself, then its sound alone.
function nextSource() {
  const { video } = movie;
  movie.source += 1;
  if (movie.source < data.videos.length) {
    byId("sound").textContent = isDialogue()
      ? "This browser cannot play the movie's format. Its dialogue is played, with the subtitles."
      : "This browser cannot play the subtitled file. The movie itself is played, with the subtitles.";
    video.src = data.videos[movie.source];
    if (movie.position) video.currentTime = movie.position;
    return;
  }
  movie.source = -1;
  video.hidden = true;
  const gone = "The movie is no longer where it was. Everything else is below.";
  tellOfMovie(data.videos.length ? "This browser can play neither the movie nor its sound. Everything else is below." : gone);
}

// -- captions -----------------------------------------------------------------------------------------------------------

const captions = [];

function makeCaptions() {
  for (const [n, track] of data.tracks.entries()) {
    captions.push(movie.video.addTextTrack("subtitles", track.title, track.language));
    captions[n].mode = n === movie.track ? "showing" : "disabled";
    fillCaptions(n);
  }
}

// The captions of a track as its cues are now.
function fillCaptions(number) {
  const texts = captions[number];
  const { mode } = texts;
  texts.mode = "hidden"; // a disabled track has no cues that could be taken away
  for (const caption of [...texts.cues]) texts.removeCue(caption);
  for (const cue of data.tracks[number]?.cues ?? []) {
    if (cue.end <= cue.start) continue;
    const caption = new VTTCue(cue.start, cue.end, captionText(cueText(cue)));
    caption.id = String(cue.id);
    texts.addCue(caption);
  }
  texts.mode = mode;
}

// WebVTT has tags of its own.
const captionText = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function showTrack(number) {
  movie.track = number;
  captions.forEach((texts, n) => (texts.mode = n === number ? "showing" : "disabled"));
}

function toggleCaptions() {
  const texts = captions[movie.track];
  if (texts) texts.mode = texts.mode === "showing" ? "disabled" : "showing";
}
