# shellcheck shell=bash
# ci/lib.sh - what the scripts in ci/ share: where the project is, and how what is missing gets installed. Sourced, not run.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/build/venv

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n -- "$@"
    fi
}

# missing_packages <what for…>: those listed in ci/packages that are not installed.
missing_packages() {
    local purpose name
    while read -r purpose name; do
        case " $* " in
        *" $purpose "*) ;;
        *) continue ;;
        esac
        dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null | grep -q '^ii' || echo "$name"
    done < <(grep -v '^#' "$ROOT/ci/packages")
}

# install_packages <what for…>: leaves the machine alone when nothing is missing.
install_packages() {
    command -v dpkg-query >/dev/null ||
        die "this script installs packages on Debian and Ubuntu only; elsewhere, see ci/packages and use cmake --preset release"
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
}

# apt_install <package…>
apt_install() {
    echo "installing: $*" >&2
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null || die "run it as root, or install these first: $*"
    {
        as_root apt-get -qq update &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$@"
    } >&2 </dev/null || die "the packages could not be installed: $*"
}

# The release build of chatd, in build/release.
build_chatd() {
    (
        cd "$ROOT" || exit
        cmake --preset release -DCHAT_TESTS=OFF
        cmake --build --preset release --target chatd --parallel "$(nproc)"
    ) >&2
}

# The Python that the virtual environment is made from: 3.11 or later, with venv.
find_python() {
    local python
    for python in python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    die "no Python 3.11 or later with venv"
}

# The virtual environment in build/venv, made again when what it is made of changes.
install_venv() {
    local project=$ROOT/tests/conformance/pyproject.toml wanted
    wanted=$(cat "$ROOT/ci/requirements.txt" "$project" | sha256sum)
    if [ "$(cat "$VENV/made-of" 2>/dev/null)" = "$ROOT $wanted" ]; then
        return
    fi
    echo "making the virtual environment build/venv" >&2
    rm -rf "$VENV"
    "$(find_python)" -m venv "$VENV"
    "$VENV/bin/pip" install --quiet --disable-pip-version-check --requirement "$ROOT/ci/requirements.txt" \
        --editable "$ROOT/tests/conformance" >&2
    echo "$ROOT $wanted" >"$VENV/made-of"
}

# actionlint, the linter of workflows, in build/tools. 1.7.7 is the newest that the Go of Debian 12 and of
# Ubuntu 24.04 both build. Nothing is fetched when it is there already.
ACTIONLINT_VERSION=v1.7.7
ACTIONLINT=$ROOT/build/tools/actionlint-$ACTIONLINT_VERSION

install_actionlint() {
    [ ! -x "$ACTIONLINT" ] || return 0
    local made
    made=$(mktemp -d) || return
    echo "building actionlint $ACTIONLINT_VERSION in build/tools" >&2
    # Elsewhere than in the source tree, so that no go.mod or go.work around it has a say.
    (cd "$made" && GOBIN=$made GOWORK=off GOFLAGS=-mod=mod GOTOOLCHAIN=local CGO_ENABLED=0 \
        go install "github.com/rhysd/actionlint/cmd/actionlint@$ACTIONLINT_VERSION") >&2 &&
        mkdir -p "${ACTIONLINT%/*}" && mv "$made/actionlint" "$ACTIONLINT"
    local result=$?
    rm -rf "$made"
    return $result
}
