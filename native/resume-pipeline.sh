#!/usr/bin/env bash
#
# Go on with a movie that was begun: native/resume-pipeline.sh DIR [options of pipeline.sh]

set -euo pipefail

case ${1:---help} in
  -*)
    sed -n '3,/^$/ s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    [ "${1:-}" = --help ] || exit 2
    ;;
  *) exec "$(dirname -- "${BASH_SOURCE[0]}")/pipeline.sh" --resume "$@" ;;
esac
