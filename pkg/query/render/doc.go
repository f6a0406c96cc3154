// Package render shows the rows of an Arrow stream as the contract's JSON, and their values as text.
//
//	err := render.JSON(w, rows, flush)
package render
