//go:build !race

package system_test

const raced = false
