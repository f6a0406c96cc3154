// Package controller keeps every partition assigned to workers.
//
// It runs in each metadata daemon and in standalone. The daemon that has held its presence longest acts;
// two may act for a moment, which is harmless: every write is conditional on what it was decided on.
package controller
