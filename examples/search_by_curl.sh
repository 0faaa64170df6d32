#!/usr/bin/env bash
# A search by curl alone, in a loop that is no Python: bash examples/search_by_curl.sh NAME.
#
# Start it as often as there are cores: each process leases trials of the study NAME until it has ended. What is trained
# is a line through 200 noisy points, by SGD with momentum in awk; docs/http.md tells the calls one by one.
set -eu
NAME=$1
URL=${ETUDE_URL:-http://127.0.0.1:8000}/v1/studies
WORKER=curl-$$
CLAIM=0

call() { curl -sS --fail-with-body --retry 5 --retry-connrefused -H 'Content-Type: application/json' "$@"; }

# The first value of a field in the JSON on stdin; jq does it better, where there is one.
field() { grep -oE "\"$1\":(\"[^\"]*\"|[^],}]*)" | sed -e 's/^[^:]*://' -e 's/"//g' -e q; }
given() { field "$1" <"$PLACE/trial.json"; }

# One training by the learning rates of every step: "step loss" at each of the steps to stop at.
train() { # rates stops seed momentum nesterov weight_decay
  awk -v rates="$1" -v stops="$2" -v seed="$3" -v momentum="$4" -v nesterov="$5" -v decay="$6" 'BEGIN {
    steps = split(rates, lr, ","); count = split(stops, list, ",")
    for (i = 1; i <= count; i++) told[list[i]] = 1
    srand(1); for (i = 1; i <= 200; i++) { x[i] = 2 * rand() - 1; y[i] = 2 * x[i] + 1 + 0.2 * (rand() - 0.5) }
    srand(seed + 2)
    for (t = 1; t <= steps; t++) {
      i = 1 + int(200 * rand()); off = a * x[i] + b - y[i]
      ga = 2 * off * x[i] + decay * a; gb = 2 * off + decay * b
      va = momentum * va + ga; vb = momentum * vb + gb
      a -= lr[t] * (nesterov == "true" ? ga + momentum * va : va)
      b -= lr[t] * (nesterov == "true" ? gb + momentum * vb : vb)
      if (t in told) {
        loss = 0; for (i = 1; i <= 200; i++) loss += (a * x[i] + b - y[i]) ^ 2 / 200
        printf (loss < 1e30 ? "%d %.6g\n" : "%d \"nan\"\n"), t, loss; fflush()
      }
    }
  }'
}

# Train the trial whose JSON is in trial.json, and tell the service of it.
search() {
  lease=$(given lease) path="$URL/$(given study)/trials/$(given number)"
  rates=$(call "$path" | sed -E 's/.*"lr":\[([^]]*)\].*/\1/')
  steps=$(given horizon_steps)
  rungs=$(sed -E 's/.*"rungs":\[([^]]*)\].*/\1/' "$PLACE/trial.json")
  train "$rates" "$rungs,$steps" "$(given seed)" "$(given momentum)" "$(given nesterov)" "$(given weight_decay)" |
    while read -r step loss; do
    told="\"lease\": \"$lease\""
    if [ "$step" -eq "$steps" ]; then
      call -o /dev/null -X PUT "$path/result" -d "{$told, \"state\": \"complete\", \"value\": $loss, \"steps_done\": $step}"
    else
      answer=$(call "$path/reports" -d "{$told, \"reports\": [{\"step\": $step, \"value\": $loss}]}")
      case $answer in *'"prune"'* | *'"stop"'*) echo "${path##*/v1/studies/} ends at step $step: $loss"; break ;; esac
    fi
  done
}

PLACE=$(mktemp -d)
trap 'rm -rf "$PLACE"' EXIT

# The same Idempotency-Key: the first process makes the study, the others find it.
call -o /dev/null "$URL" -H "Idempotency-Key: $NAME" -d '{
  "name": "'"$NAME"'", "task": {"name": "external"}, "budget": {"trials": 8},
  "objective": {"metric": "mean_squared_error", "direction": "minimize"}, "horizon": {"steps": 100}, "seed": 1,
  "space": {"optimizers": ["sgd"]},
  "confirmation": {"top": 1, "seeds": 2, "baselines": ["sgd-cosine"]}}'
while :; do
  case $(call "$URL/$NAME" | field state) in done | stopped | failed) break ;; esac
  CLAIM=$((CLAIM + 1))
  call -o "$PLACE/trial.json" "$URL/$NAME/trials" -d "{\"worker\": \"$WORKER\", \"claim_id\": \"$WORKER-$CLAIM\"}"
  if grep -q '"lease"' "$PLACE/trial.json"; then search; else sleep 0.5; fi
done
call "$URL/$NAME/best" | sed -E 's/.*"sentence":"(([^"\\]|\\.)*)".*/\1/'
echo
