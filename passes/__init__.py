"""The replaceable algorithms of the compiler: one file, one pass, one name."""
