// Package spantest keeps spans for tests.
package spantest
