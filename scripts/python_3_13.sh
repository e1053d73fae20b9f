#!/bin/sh
# Prints the path of a CPython 3.13, the Lambda runtime's version, or nothing when this machine has none.
# It is looked for as python3.13, as python3, and among the versions of pyenv and uv.
is_it() { [ -n "$1" ] && "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; }

for candidate in python3.13 python3; do
  path=$(command -v "$candidate") && is_it "$path" && echo "$path" && exit 0
done
for path in "$(pyenv root 2>/dev/null)"/versions/3.13.*/bin/python3.13; do
  is_it "$path" && echo "$path" && exit 0
done
path=$(uv python find 3.13 2>/dev/null) && is_it "$path" && echo "$path"
exit 0
