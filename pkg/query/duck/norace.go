//go:build !race

package duck

const shadow = 0
