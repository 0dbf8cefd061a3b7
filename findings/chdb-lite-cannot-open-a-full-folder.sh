#!/bin/sh
# chdb-core-lite 26.5.0 is a third of the size of chdb-core 26.5.0 and imports under the same name, but is no drop-in: one table
# whose column uses an aggregate function that the smaller build lacks keeps the whole data folder from opening.
#
# Seen with Python 3.13 on x86_64 Linux, both engines of the same version 26.5.0:
#   - a folder with an ordinary MergeTree table, written by the full build: the lite build opens and reads it;
#   - the same with a second, empty table of AggregateFunction(quantilesTDigest(0.5), UInt64): the lite build opens nothing. The
#     exception says only "Error initializing EmbeddedServer" (code 36); the cause, an unknown aggregate function (code 63), is
#     on stderr. The full build still reads the folder, so nothing is damaged;
#   - quantileTDigest and formatQuerySingleLine do not exist in it (code 46), quantile does.
# So a program that wants to offer the smaller engine has to ask for its functions first, and cannot share folders.
#
# Exits 0 while this is so, 1 when it changed. Installs about 700 MB into a temporary folder and removes it.
set -eu
python=${PYTHON:-python3.13}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for build in chdb-core chdb-core-lite; do
    "$python" -m venv "$build"
    "$build/bin/python" -m pip install -q --disable-pip-version-check "$build==26.5.0" pyarrow==26.0.1 pandas==3.1.1
done

cat >write.py <<'PYTHON'
import sys, chdb
engine = chdb.connect(sys.argv[1])
engine.query("CREATE TABLE plain (n UInt64) ENGINE = MergeTree ORDER BY n")
engine.query("INSERT INTO plain VALUES (1), (2)")
if sys.argv[2:] == ["digest"]:
    column = "d AggregateFunction(quantilesTDigest(0.5), UInt64)"
    engine.query(f"CREATE TABLE digests (k UInt64, {column}) ENGINE = AggregatingMergeTree ORDER BY k")
PYTHON
cat >read.py <<'PYTHON'
import sys, chdb
try:
    print(str(chdb.connect(sys.argv[1]).query("SELECT count() FROM plain")).strip())
except Exception as error:
    print(str(error).split("DB::Exception: ")[-1])
PYTHON
cat >functions.py <<'PYTHON'
import chdb
for name, call in (
    ("quantile", "quantile(0.5)(number) FROM numbers(9)"),
    ("quantileTDigest", "quantileTDigest(0.5)(number) FROM numbers(9)"),
    ("formatQuerySingleLine", "formatQuerySingleLine('select 1')"),
):
    try:
        chdb.query(f"SELECT {call}")
        print(name, "yes")
    except Exception as error:
        print(name, "no, code 46" if "Code: 46." in str(error) else error)
PYTHON

failed=0
expect() { # what, expected, got
    printf '%s: %s\n' "$1" "$3"
    [ "$2" = "$3" ] || { printf '  CHANGED: it was "%s"\n' "$2"; failed=1; }
}
chdb-core/bin/python write.py plain
chdb-core/bin/python write.py digest digest
expect "lite reads a plain folder" 2 "$(chdb-core-lite/bin/python read.py plain 2>/dev/null)"
expect "lite reads a folder with a digest" "Error initializing EmbeddedServer: . (BAD_ARGUMENTS)" \
    "$(chdb-core-lite/bin/python read.py digest 2>stderr.txt)"
expect "and says why on stderr only" 1 "$(grep -c -m1 'Unknown aggregate function quantilesTDigest' stderr.txt)"
expect "the full build reads it still" 2 "$(chdb-core/bin/python read.py digest 2>/dev/null)"
expect "functions of lite" "quantile yes, quantileTDigest no, code 46, formatQuerySingleLine no, code 46" \
    "$(chdb-core-lite/bin/python functions.py 2>/dev/null | paste -sd, | sed 's/,\([a-z]\)/, \1/g')"
exit "$failed"
