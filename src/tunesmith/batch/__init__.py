"""Jobs of many completions, over any backend: none lost, none paid twice."""
