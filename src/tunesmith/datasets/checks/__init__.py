"""Checks of datasets: one for prompts and completions, one for rows with messages."""
