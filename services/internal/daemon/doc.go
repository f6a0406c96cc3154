// Package daemon is what the main of every daemon has in common: flags, configuration, logger, signals and exit codes.
package daemon
