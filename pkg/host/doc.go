// Package host is what a process lends its parts: clock, random numbers, logger, metrics registry and file system.
package host
