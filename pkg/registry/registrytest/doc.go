// Package registrytest keeps a schema in memory, for tests of what registers and shows services.
package registrytest
