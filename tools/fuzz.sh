#!/usr/bin/env bash
# Fuzzes the native engine and sieve, target by target, and both engines against each other: `tools/fuzz.sh [SECONDS]`,
# 120 in all unless told. What it finds lies in rust/fuzz/artifacts; see docs/fuzzing.md.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-120}
python=${PYTHON:-.venv/bin/python}
fuzz=rust/fuzz
targets=(frame stream tls dtls capture engine eve)

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo 'not fuzzed: cargo-fuzz is missing; `cargo install cargo-fuzz --locked` brings it'
    [ -z "${CI:-}" ]
    exit
fi
options=(--fuzz-dir "$fuzz" --sanitizer none) # the engine has no unsafe code, and sanitizers need a nightly compiler
if ! cargo fuzz build "${options[@]}"; then
    echo 'not fuzzed: the targets cannot be built here; they need a C++ compiler'
    [ -z "${CI:-}" ]
    exit
fi

[ -d "$fuzz/corpus" ] || "$python" -m tools.fuzz_seeds "$fuzz/corpus"
share=$((seconds / (${#targets[@]} + 2)))
for target in "${targets[@]}"; do
    printf '\n--- %s, %d s\n' "$target" "$share"
    cargo fuzz run "${options[@]}" "$target" -- -max_total_time="$share" -max_len=8192 -timeout=10 \
        -rss_limit_mb=1024 -malloc_limit_mb=64 -print_final_stats=1 -verbosity=0
done

printf '\n--- both engines, %d s\n' $((2 * share))
mkdir -p "$fuzz/captures"
for target in "${targets[@]}"; do
    [ "$target" = capture ] || [ "$target" = eve ] || # files already, most of them broken; and no packets
        HBIDS_FUZZ_CAPTURES=$fuzz/captures cargo fuzz run "${options[@]}" "$target" -- -runs=0 -verbosity=0
done
"$python" -m tools.fuzz_engines --seconds $((2 * share)) "$fuzz/captures"
