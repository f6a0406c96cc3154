// Package command is the commands of the reprise command line, over the admin API.
package command
