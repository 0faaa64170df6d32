"""Trials that are somebody's training script: processes that are started, listened to and ended."""
