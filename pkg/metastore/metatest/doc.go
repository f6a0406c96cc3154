// Package metatest has the fake of metastore.KV together with the suite that every KV passes.
package metatest
