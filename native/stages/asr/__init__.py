"""Speech to words: the plan of windows and chunks, the engines, the checkpoints."""
