// Package logkey has the attribute keys of log lines, so that one thing has one name in all of them.
package logkey
