"""What everything else may stand on: errors, clock, ids."""
