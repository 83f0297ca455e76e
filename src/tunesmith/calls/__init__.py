"""How a call is made: attempts, pauses, time limits, logs; the same for every backend."""
