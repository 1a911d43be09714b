package crc32c

// Foldable says whether this processor folds.
func Foldable() bool { return foldable() }
