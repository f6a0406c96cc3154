// Package jsondoc reads, patches and writes JSON documents whose numbers stay as they are.
package jsondoc
