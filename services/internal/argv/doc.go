// Package argv runs the command lines of urfave/cli as users write them.
//
// That library stops reading flags at the first argument and knows no abbreviations: `sql QUERY --json` and
// `inv ls` would not work.
package argv
