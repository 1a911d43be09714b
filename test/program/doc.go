//go:build !unix

// Package program runs the three programs for tests, on systems with signals.
package program
