// Package command is the commands of the reprisectl command line, over the fabric port of any node.
package command
