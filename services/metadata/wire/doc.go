// Package wire builds a metadata daemon: its etcd member and the controller.
package wire
