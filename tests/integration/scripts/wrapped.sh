#!/usr/bin/env bash
# A wrapper as many have one: something before, the training, something after.
set -euo pipefail
echo "val_loss=before"
"$1" lines.py
echo "val_loss=after"
