#!/usr/bin/env bash
# Runs the tests of what has changed since BASE (by default where this branch left main) or is not committed yet, in quick depth.
# agent/x/y.ts is tested by test/agent/x/y.test.ts; where there is none, by all tests of test/agent/x/, or of the nearest folder
# above that has some. A helper of tests is tested by all tests that import it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/node.sh
export BLOCKFERRY_DEPTH=quick

base="${1:-$(git merge-base HEAD origin/main 2>/dev/null || git merge-base HEAD main)}"
mapfile -t changed < <({ git diff --name-only "$base" && git ls-files --others --exclude-standard; } | sort -u)

# tests_of FILE: prints the tests that mirror a file of the sources.
tests_of() {
  local mirror="test/${1%.*}.test.ts"
  [ -e "$mirror" ] && echo "$mirror" && return
  local folder
  folder="$(dirname "$mirror")"
  while [ "$folder" != test ]; do
    compgen -G "$folder/*.test.ts" && return
    folder="$(dirname "$folder")"
  done
}

list_tests() {
  local file helpers=()
  for file in "${changed[@]}"; do
    case "$file" in
      test/*.test.ts) [ -e "$file" ] && echo "$file" ;;
      test/*.ts) helpers+=("${file//./\\.}") ;;
      *) tests_of "$file" ;;
    esac
  done
  [ ${#helpers[@]} -eq 0 ] && return
  local any
  any="$(IFS='|' && echo "${helpers[*]}")"
  npx --no-install depcruise test --include-only '^test/' --reaches "^($any)$" --output-type text | sed -n 's/^\(\S*\.test\.ts\) .*/\1/p'
}

mapfile -t tests < <(list_tests | sort -u)
if [ ${#tests[@]} -eq 0 ]; then
  echo "No test mirrors what has changed since $base."
  exit
fi
printf '%s\n' "${tests[@]}"
compiled=("${tests[@]/#/dist/}")
exec bash scripts/test.sh "${compiled[@]/%.ts/.js}"
