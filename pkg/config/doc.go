// Package config reads one tree of settings from defaults, a TOML file, the environment and flags, in that order.
//
// Keys, their units and the environment form (RESTATE_ + upper case, "__" between sections) are those of
// the contract, so that an existing file starts our daemons. A key that nobody knows is one warning, a
// value that can not be read is an error, and all errors come at once.
//
//	cfg, warnings, err := config.Load(config.Options{File: path, Environ: os.Environ(), Flags: flags})
package config
