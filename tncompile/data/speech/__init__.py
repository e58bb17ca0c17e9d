"""Speech: sound files, phone labels, cepstra, mixing with noise; all plain functions on arrays."""
