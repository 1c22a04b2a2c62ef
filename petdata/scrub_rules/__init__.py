"""What the scrubber looks for: each module finds spans of some kinds in plain text."""
