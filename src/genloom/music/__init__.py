"""Music as notes on a grid: as words, as MIDI, as sound and as a picture."""
