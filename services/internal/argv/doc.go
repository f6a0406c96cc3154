// Package argv rearranges a command line so that urfave/cli reads it as users write it.
//
// That library stops reading flags at the first argument and knows no abbreviations: `sql QUERY --json` and
// `inv ls` would not work.
package argv
