#!/bin/sh
# Print the path of a Python that can make the environment: the one named, else the first that can.
# usage: find_python.sh [NAME_OR_PATH [PYTHON_OF_AN_ENVIRONMENT_THAT_EXISTS]]
set -u

# 3.11 first: the committed results are its, and peers of the benchmarks are pinned for it.
NAMES="python3.11 python3.12 python3.13 python3 python"
PYENV="${PYENV_ROOT:-${HOME:-/nonexistent}/.pyenv}/versions"
CHECK='
import struct, sys, sysconfig
if sys.version_info[:2] not in ((3, 11), (3, 12), (3, 13)):
    sys.exit("it is Python %d.%d.%d" % sys.version_info[:3])
if struct.calcsize("P") < 8 or sys.implementation.name != "cpython":
    sys.exit("it is not a 64-bit CPython")
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    sys.exit("it is the free-threaded build, for which TensorFlow has no wheels")
try:
    import ensurepip, venv
except ImportError:
    sys.exit("it is Python %d.%d.%d without its module venv" % sys.version_info[:3])
print(getattr(sys, "_base_executable", None) or sys.executable)
'
# Set $why, and print the path and leave when there is nothing to say against it.
try() {
  why="$1: not found"
  command -v "$1" >/dev/null 2>&1 || return 0
  said=$("$1" -I -c "$CHECK" 2>&1) && { printf '%s\n' "$said"; exit 0; }
  why="$1: $(printf '%s\n' "${said:-it does not start}" | head -n 1)"
}

found=""
if [ -n "${1:-}" ]; then
  try "$1"
  found=$why
else
  [ -n "${2:-}" ] && try "$2"
  for name in $NAMES; do
    try "$name"
    case "$why" in
      *": not found" | *"pyenv:"*) ;; # absent, or a shim of a version that is not switched on
      *) found="$found${found:+; }$why" ;;
    esac
  done
  for path in "$PYENV"/3.11.*/bin/python3 "$PYENV"/3.12.*/bin/python3 "$PYENV"/3.13.*/bin/python3; do
    try "$path"
  done
fi

mend="Install one (Debian and Ubuntu: sudo apt install python3 python3-venv; macOS: brew install python@3.13) or name one: make setup PYTHON=/path/to/python3.13"
case "$found" in
  *"without its module venv"*) mend="Debian and Ubuntu: sudo apt install python3-venv" ;;
esac
echo "No Python 3.11, 3.12 or 3.13 that can make the environment (${found:-none found}). $mend" >&2
exit 1
