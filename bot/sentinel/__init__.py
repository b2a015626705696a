"""Error detection: streams of text in, typed findings out. Pure: no clock, no file, no network, no model."""
