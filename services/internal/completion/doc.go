// Package completion makes the scripts with which shells complete the command lines.
package completion
