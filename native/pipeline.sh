#!/usr/bin/env bash
#
# Turn a movie into a subtitled movie.
#
#   native/pipeline.sh [options] MOVIE…          movies or folders of movies, done one after the other
#   native/pipeline.sh [options] --sample 5m MOVIE…   the first five minutes of speech, and how long the rest would take
#   native/pipeline.sh [options] --resume DIR    go on with a movie directory, with the settings it was begun with
#   native/pipeline.sh --status DIR|MOVIE        where a movie stands
#   native/pipeline.sh --corrections DIR|MOVIE   the names that were mended; with --undo and the like what you decide about them
#   native/pipeline.sh --review DIR|MOVIE        its report, served on this machine alone, to edit cues, voices' names and the glossary
#   native/pipeline.sh --doctor                  what every stage would use here and why, after trying it
#   native/pipeline.sh [options] --prefetch      fetch the models that would be used and do nothing else
#
# What is needed is built first (native/setup_venvs.sh), and models that are missing are fetched, unless OFFLINE is set; what is
# up to date is skipped. The result's path (of --prefetch: the models' folders) goes to stdout, everything else to stderr and to
# the movie directory's logs/.
#
# A sample is a run of its own in DIR/_samples; it makes subtitles and no movie, and no other run knows of it.
#
# Options:
#   --out DIR          where movie directories are made (default: out)
#   --language CODE    language spoken, as ISO 639-1 code: en, hi, … (default: auto)
#   --tmdb-id ID       the movie's number at themoviedb.org, where the search is in doubt
#   --translate        English subtitles, whatever is spoken
#   --formats A,B      subtitle files to write, of srt, vtt, ass, txt, json, rttm (default: all)
#   --sdh              subtitles that name whoever begins to speak
#   --bilingual        with --translate: one more file with what was said above the English
#   --burn-in          subtitles drawn into the picture, which is encoded anew
#   --no-bias          do not tell the decoder the glossary's names
#   --model NAME|DIR   Whisper model: a name or a folder
#   --backend NAME     auto, mlx, whisperx or sphinx (default: auto)
#   --device NAME      auto, mps, cuda or cpu, for all stages (default: auto)
#   --trust-model      run the code that a model's own files may hold; without it such a model is refused. For this run alone
#   --set KEY=VALUE    any setting of native/config/.env.pipeline, as often as needed
#   --env FILE         settings file of KEY=VALUE lines; weaker than the options here
#   --from STAGE       begin with this stage           --to STAGE         end with this stage
#   --only A,B         these stages alone              --skip A,B         all but these
#   --force            run the stages even when they are up to date
#   --jobs N           stages that may run at once: auto (default), as the machine has cores and memory for; 1: one after the other
#   --retry-degraded   decode anew, in full, what could be decoded only with less
#   --undo ID,ID       with --corrections: leave these as they were heard     --reject ID   … and the same words everywhere
#   --accept ID        keep the change whatever else changes                  --forget ID   take such a decision back
#   --port N           with --review: where it listens (default: any port that is free)     --no-browser   … only print the address
#   --dry-run          say what would be done and do nothing
#   --json             results as JSON on stdout, a line a movie
#   --help             this text
#
# Stages: demux tmdb pre-ner silero-vad pyannote-vad diarization asr post-ner subtitle-gen mux
#
# Exit codes: 0 done, 2 usage, 3 bad input, 4 missing tool or model, 5 out of space, 6 stage failed,
# 7 busy (another run holds the movie directory), 130 interrupted; a crash keeps its signal's code (128 + n).
# With several movies: that of the first one that failed.

set -euo pipefail

native=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
readonly native
# Not `python -m`: the current folder, of which that makes a library, may be somebody else's movie directory.
readonly python=("$native/venvs/core/bin/python" "$native/../shared/src/reelscribe/module.py")
readonly sample_last=subtitle-gen # the last stage of a sample: mux would copy the whole movie

movies=()    # as given on the command line
settings=()  # --set KEY=VALUE …, for reelscribe.cli
selection=() # --from …, for reelscribe.cli
decisions=() # --undo ID …, for reelscribe.corrections
serving=()   # --port N …, for reelscribe.review
sample=      # --sample's length
out=out
job=() # --env FILE, for whoever reads settings
resume=
mode=run
force=
jobs=() # --jobs N, for reelscribe.cli
json=
last_stage=

child=   # the process that is running
missing= # models that are not there and why, a line each
interrupted=

say() {
  printf '%s\n' "$*" >&2
}

fail() { # CODE MESSAGE
  say "pipeline.sh: $2"
  exit "$1"
}

show_help() {
  sed -n '3,/^$/ s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

core() { # a command of reelscribe.cli
  "${python[@]}" reelscribe.cli "$@"
}

parse() {
  local option value
  while [ $# -gt 0 ]; do
    option=$1
    value=
    shift
    case $option in
      --out=* | --language=* | --tmdb-id=* | --formats=* | --model=* | --backend=* | --device=* | --set=* | --env=* | --from=* | --to=* | --only=* | --skip=* | --sample=* | --resume=* | --status=* | --corrections=* | --review=* | --port=* | --jobs=* | --undo=* | --reject=* | --accept=* | --forget=*)
        value=${option#*=}
        option=${option%%=*}
        ;;
      --out | --language | --tmdb-id | --formats | --model | --backend | --device | --set | --env | --from | --to | --only | --skip | --sample | --resume | --status | --corrections | --review | --port | --jobs | --undo | --reject | --accept | --forget)
        [ $# -gt 0 ] || fail 2 "$option needs a value; see --help"
        value=$1
        shift
        ;;
    esac
    case $option in
      --out) out=$value ;;
      --language) settings+=(--set "MOVIE_LANGUAGE=$value") ;;
      --tmdb-id) settings+=(--set "TMDB_ID=$value") ;;
      --translate) settings+=(--set TRANSLATE=true) ;;
      --formats) settings+=(--set "SUBTITLE_FORMATS=$value") ;;
      --sdh) settings+=(--set SDH=true) ;;
      --bilingual) settings+=(--set BILINGUAL=true) ;;
      --burn-in) settings+=(--set BURN_IN=true) ;;
      --no-bias) settings+=(--set BIAS=false) ;;
      --model) settings+=(--set "WHISPER_MODEL=$value") ;;
      --backend) settings+=(--set "WHISPER_BACKEND=$value") ;;
      --device) settings+=(--set "DEVICE=$value") ;;
      --trust-model) settings+=(--set TRUST_MODEL=true) ;;
      --set) settings+=(--set "$value") ;;
      --env) job+=(--env "$value") ;;
      --from | --only | --skip) selection+=("$option=$value") ;;
      --to) last_stage=$value && selection+=("--to=$value") ;;
      --sample) sample=$value && [ -n "$sample" ] || fail 2 "--sample needs a length, as 5m; see --help" ;;
      --resume) resume=$value ;;
      --status) mode=status && resume=$value ;;
      --corrections) mode=corrections && resume=$value ;;
      --review) mode=review && resume=$value ;;
      --port) serving+=("--port=$value") ;;
      --no-browser) serving+=(--no-browser) ;;
      --undo | --reject | --accept | --forget) decisions+=("$option=$value") ;;
      --doctor) mode=doctor ;;
      --prefetch) mode=prefetch ;;
      --dry-run) mode=dry-run ;;
      --force) force=--force ;;
      --jobs)
        case $value in
          auto) ;;
          '' | 0* | *[!0-9]*) fail 2 "--jobs takes a number or auto, not '$value'; see --help" ;;
        esac
        jobs=(--jobs "$value")
        ;;
      --retry-degraded) export ASR_RETRY_DEGRADED=true ;; # for this run alone, so it is not kept in job.env
      --json) json=--json ;;
      -h | --help) show_help && exit 0 ;;
      --) movies+=("$@") && break ;;
      -*) fail 2 "there is no option $option; see --help (a movie whose name begins with a dash comes after --)" ;;
      *) movies+=("$option") ;;
    esac
  done
}

# Ctrl-C and TERM: what runs is told to end, and the wait in attend goes on until it has.
on_signal() {
  interrupted=1
  [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || true
}

# Run a command that may take long. In the background, because bash runs traps only between foreground commands; without stdin,
# because ffmpeg would eat what bash itself reads.
attend() {
  local code
  [ -z "$interrupted" ] || return 130 # since the last one
  "$@" </dev/null &
  child=$!
  [ -z "$interrupted" ] || on_signal # before its number was known
  while :; do
    code=0
    wait "$child" || code=$?
    kill -0 "$child" 2>/dev/null || break
  done
  child=
  [ -z "$interrupted" ] || code=130
  return "$code"
}

# A file without a name for what a command says, so that nothing of it stays whenever we are killed: write to &3, read from &4.
unnamed_file() {
  local name
  if ! name=$(mktemp "${TMPDIR:-/tmp}/reelscribe.XXXXXX" 2>/dev/null); then
    [ -z "$interrupted" ] || exit 130
    fail 5 "no file can be made in ${TMPDIR:-/tmp}: make room there, or name another folder in TMPDIR"
  fi
  exec 3>"$name"
  exec 4<"$name"
  rm -f "$name"
}

# What comes before the first movie: which they are, in `found`, and the models that the stages would use and that are not there. One that
# cannot be had does not end the run. `$@`: --resume DIR or -- MOVIE…
prepare() {
  local movie="" code=0
  unnamed_file
  fetch fetch "$@" >&3 || code=$?
  while IFS= read -r -d '' movie; do
    found+=("$movie")
  done <&4
  missing=${movie%$'\n'} # after the last movie
  exec 3>&- 4<&-
  return "$code"
}

fetch() { # fetch|prefetch OPTION…
  attend "${python[@]}" reelscribe.cli "$1" --parent $$ --out "$out" ${job[@]+"${job[@]}"} \
    ${settings[@]+"${settings[@]}"} ${selection[@]+"${selection[@]}"} "${@:2}"
}

# One movie from its opening to its summary: its stages, side by side where none waits for another, and its report.
run_movie() { # --movie MOVIE or --resume DIR, further options of `reelscribe.cli run`
  attend "${python[@]}" reelscribe.cli run --parent $$ --out "$out" ${job[@]+"${job[@]}"} \
    ${settings[@]+"${settings[@]}"} ${selection[@]+"${selection[@]}"} ${jobs[@]+"${jobs[@]}"} ${force:+"$force"} ${json:+"$json"} "$@"
}

# The same without a summary; the movie directory in `movie_dir`, nothing there when it could not be opened.
work_on() {
  local code=0
  unnamed_file
  run_movie --quiet "$@" >&3 || code=$?
  movie_dir=$(cat <&4)
  exec 3>&- 4<&-
  return "$code"
}

# The first minutes of one movie, in directories of their own: one for the whole movie with the stages that find its speech, which says
# where the sample ends, and one for the sample.
run_sample() { # MOVIE
  local samples=$out/_samples movie_dir whole code=0 end selection=("--only=demux,silero-vad")
  local out=$samples/whole
  work_on --movie "$1" || code=$?
  whole=$movie_dir
  if [ "$code" -eq 0 ]; then
    end=$(core sample-end --whole "$whole" --length "$sample") || return
    out=$samples/$sample
    selection=("--to=$sample_last")
    work_on --movie "$1" ${end:+--set "AUDIO_END=$end"} || code=$?
  fi
  [ -n "$movie_dir" ] || return "$code"
  if [ "$code" -eq 0 ]; then
    core show-sample --movie-dir "$movie_dir" --whole "$whole" --length "$sample" --last "$sample_last" ${json:+"$json"}
    return
  fi
  core show --movie-dir "$movie_dir" ${json:+"$json"} || true
  say "go on with the same command"
  return "$code"
}

run_all() {
  local movie failed=() first_code=0 code
  for movie in "${found[@]}"; do
    code=0
    if [ -n "$sample" ]; then
      run_sample "$movie" || code=$?
    else
      run_movie --movie "$movie" || code=$?
    fi
    [ -z "$interrupted" ] || return 130
    [ "$code" -ne 0 ] || continue
    failed+=("$movie (exit code $code)")
    [ "$first_code" -ne 0 ] || first_code=$code
  done
  [ ${#found[@]} -eq 1 ] || say "${#found[@]} movies, ${#failed[@]} failed"
  for movie in ${failed[@]+"${failed[@]}"}; do
    say "failed: $movie"
  done
  return "$first_code"
}

# The table of a movie's corrections, or what was decided about some of them and what follows from it: asr and what is before it stay.
corrections() {
  "${python[@]}" reelscribe.corrections --out "$out" ${json:+"$json"} ${decisions[@]+"${decisions[@]}"} -- "$resume"
  [ ${#decisions[@]} -gt 0 ] || return 0
  selection=("--from=post-ner" ${last_stage:+"--to=$last_stage"})
  run_movie --resume "$resume"
}

# The report for review, until Ctrl-C; what follows from edits runs in the background (reelscribe.review.rerun).
review() {
  exec "${python[@]}" reelscribe.review --out "$out" ${serving[@]+"${serving[@]}"} -- "$resume" </dev/null
}

dry_run() { # -- MOVIE… or --resume DIR
  core dry-run --out "$out" ${job[@]+"${job[@]}"} ${settings[@]+"${settings[@]}"} ${selection[@]+"${selection[@]}"} \
    ${force:+"$force"} ${json:+"$json"} "$@"
}

check_sample() {
  [ "$mode" = run ] && [ -z "$resume" ] ||
    fail 2 "--sample takes a movie and goes with none of --resume, --status, --corrections, --review, --doctor, --prefetch, --dry-run"
  [ ${#selection[@]} -eq 0 ] || fail 2 "--sample chooses the stages itself; leave out --from, --to, --only and --skip"
  selection=("--to=$sample_last")
}

main() {
  local found=() code=0
  parse "$@"
  [ -z "$sample" ] || check_sample
  if [ "$mode" = doctor ]; then
    "$native/setup_venvs.sh" </dev/null
    core doctor ${json:+"$json"}
    return
  fi
  [ "$mode" != prefetch ] || [ ${#movies[@]} -eq 0 ] || fail 2 "--prefetch takes no movie"
  [ "$mode" = prefetch ] || [ -n "$resume" ] || [ ${#movies[@]} -gt 0 ] || fail 2 "which movie? native/pipeline.sh MOVIE, or --help"
  [ -z "$resume" ] || [ ${#movies[@]} -eq 0 ] || fail 2 "--resume, --status, --corrections and --review take one directory and no further movie"
  [ ${#decisions[@]} -eq 0 ] || [ "$mode" = corrections ] || fail 2 "--undo, --reject, --accept and --forget go with --corrections DIR"
  [ ${#serving[@]} -eq 0 ] || [ "$mode" = review ] || fail 2 "--port and --no-browser go with --review DIR"
  trap on_signal INT TERM HUP
  attend "$native/setup_venvs.sh" --watch $$ core
  [ -z "$sample" ] || sample=$(core sample-length "--length=$sample")
  case $mode in
    prefetch) fetch prefetch ${json:+"$json"} ${resume:+--resume "$resume"} ;;
    corrections) corrections ;;
    review) review ;;
    status) core show --movie-dir "$resume" --out "$out" ${json:+"$json"} ;;
    dry-run)
      if [ -n "$resume" ]; then dry_run --resume "$resume"; else dry_run -- "${movies[@]}"; fi
      ;;
    run)
      if [ -n "$resume" ]; then
        prepare --resume "$resume"
        run_movie --resume "$resume" || code=$?
      else
        prepare -- "${movies[@]}"
        run_all || code=$?
      fi
      [ -z "$missing" ] || say "$missing"
      return "$code"
      ;;
  esac
}

main "$@"
