// Package grid draws the tables of the command lines.
package grid
