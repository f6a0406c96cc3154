// Package telemetry shows what a process does: it makes the logger and the metrics page from the configuration.
package telemetry
