// Package node is what each daemon does to be part of a cluster: it joins, follows the metadata and serves the fabric port.
package node
