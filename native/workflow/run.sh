#!/usr/bin/env bash
#
# Subtitle many movies, each stage a job, on this machine or on a Slurm cluster. docs/cluster.md says how to set that up.
#
#   native/workflow/run.sh [options] MOVIE…          movies, folders of movies, movie directories that were begun
#   native/workflow/run.sh [options] --list FILE     the same that FILE names, one on a line; a line
#                                                    that begins with # is a comment
#
# The movie directories, manifests and results are those of native/pipeline.sh, byte for byte: what one of the two has begun the other goes
# on with, and what is up to date is skipped. While a run holds a movie, no other can.
#
# Options:
#   --profile NAME|DIR   local (default), slurm, or a folder with a config.yaml of your own
#   --out DIR            where movie directories are made (default: out)
#   --set KEY=VALUE      any setting of native/config/.env.pipeline, as often as needed
#   --env FILE           settings file of KEY=VALUE lines; weaker than --set
#   --from STAGE         begin with this stage           --to STAGE         end with this stage
#   --only A,B           these stages alone              --skip A,B         all but these
#   --snakemake=OPTION   an option of snakemake's, as often as needed: --snakemake=--verbose
#   --json               results as JSON on stdout, a line a movie
#   --help               this text
#
# The paths of finished movies go to stdout, everything else to stderr and to the movie directories' logs/.
#
# Exit codes: those of native/pipeline.sh; with several movies, that of the first one that failed.

set -euo pipefail

native=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
readonly native

show_help() {
  sed -n '3,/^$/ s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

case ${1:-} in
  -h | --help)
    show_help
    exit 0
    ;;
  "")
    printf 'run.sh: which movies? See --help\n' >&2
    exit 2
    ;;
esac
"$native/setup_venvs.sh" core workflow </dev/null
# Not `python -m`: the current folder, of which that makes a library, may be somebody else's.
exec "$native/venvs/core/bin/python" "$native/../shared/src/reelscribe/module.py" reelscribe.workflow run "$@"
