#!/bin/sh
# Checks the GitHub Action, its example and our own workflows: their schemas,
# and what is known to be dangerous in them. The linters are Python packages,
# in an environment of their own below target/.
set -eu

cd "$(dirname "$0")/.."
# Pinned: a new rule is no fault of the code.
wanted="check-jsonschema==0.39.0 zizmor==1.32.0"
lint=target/lint

if [ "$(cat "$lint/installed" 2>/dev/null)" != "$wanted" ]; then
    rm -rf "$lint"
    python3 -m venv "$lint"
    # shellcheck disable=SC2086 # one word a package
    "$lint/bin/pip" install --quiet --disable-pip-version-check $wanted
    echo "$wanted" >"$lint/installed"
fi

action=action.yml
workflow=examples/github-workflow.yml
"$lint/bin/check-jsonschema" --builtin-schema vendor.github-actions "$action"
"$lint/bin/check-jsonschema" --builtin-schema vendor.github-workflows \
    "$workflow" .github/workflows/*.yml
"$lint/bin/zizmor" --offline --quiet --config .ci/zizmor.yml \
    "$action" "$workflow" .github/workflows/*.yml

# A linter that takes anything would be none.
bad=$(mktemp -d)
trap 'rm -rf "$bad"' EXIT
sed 's/^runs:/run:/' "$action" >"$bad/action.yml"
sed 's/runs-on:/runs_on:/' "$workflow" >"$bad/workflow.yml"
for pair in "github-actions $bad/action.yml" \
    "github-workflows $bad/workflow.yml"; do
    if "$lint/bin/check-jsonschema" --builtin-schema \
        "vendor.${pair% *}" "${pair#* }" >/dev/null 2>&1; then
        echo "tests/lint-actions.sh: ${pair#* } should be refused" >&2
        exit 1
    fi
done
# Every input that the action has is handed on, and used.
sed -n '/^inputs:/,/^outputs:/s/^  \([a-z-]*\):$/\1/p' "$action" |
    while read -r input; do
        name=INPUT_$(echo "$input" | tr 'a-z-' 'A-Z_')
        [ "$input" != cache ] || continue
        if ! grep -q "$name: \${{ inputs.$input }}" "$action" ||
            ! grep -q "$name" .ci/action; then
            echo "tests/lint-actions.sh: nobody uses the input $input" >&2
            exit 1
        fi
    done
