"""How a job runs: its log, its errors, its GPU and its memory."""
