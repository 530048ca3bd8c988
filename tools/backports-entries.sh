#!/usr/bin/env bash
# Writes into a folder those of a machine's package sources that name a suite of Debian, with that suite's backports in its
# place; mirror, keys and options stay as they are:
#     tools/backports-entries.sh /etc/apt bookworm FOLDER
set -euo pipefail
apt=$1 suite=$2 folder=$3
shopt -s nullglob
lists=("$apt"/sources.lis[t] "$apt"/sources.list.d/*.list)
paragraphs=("$apt"/sources.list.d/*.sources)

# One line an entry: deb [options] URI suite component...
awk -v suite="$suite" '
    $1 == "deb" { for (i = 2; i <= NF; i++) if ($i == suite) { $i = suite "-backports"; print } }
' /dev/null "${lists[@]}" >"$folder/hbids-backports.list"

# Paragraphs of fields (deb822), as in Debian 13; values may go on in lines that begin with a blank.
awk -v suite="$suite" '
    function flush() {
        if (index(suites, " " suite " ")) printf "%sSuites: %s-backports\n\n", others, suite
        suites = others = field = ""
    }
    FNR == 1 || /^[ \t]*$/ { flush() }
    /^#/ || /^[ \t]*$/ { next }
    /^[^ \t]/ { field = tolower($0); sub(/:.*/, "", field) }
    field == "suites" { sub(/^[^ \t]*:/, ""); gsub(/[ \t]+/, " "); suites = suites " " $0 " "; next }
    { others = others $0 "\n" }
    END { flush() }
' /dev/null "${paragraphs[@]}" >"$folder/hbids-backports.sources"
