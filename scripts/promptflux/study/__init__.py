"""What the user asks for: the config, the table of prompts and the own images as one plan, checked before any job runs."""
