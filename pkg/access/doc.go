// Package access tells what the bearer of a token may do.
//
// Tokens are kept as SHA-256 digests in a file, one a line: digest, role, name. The file may change while the
// process runs; one that cannot be read or is wrong leaves the former in force.
//
//	tokens, err := access.Open(path, "admin.tokens-file", h) // a lifecycle.Part, which follows the file
//	name, role := tokens.Bearer(r.Header.Get("Authorization"))
package access
