"""What the rules and scripts of the study share, a room for each thing; the rooms import one another one way only."""
