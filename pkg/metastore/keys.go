package metastore

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"reprise/pkg/id"
)

// keys builds and parses the keys of one cluster.
type keys struct{ root string }

func newKeys(cluster string) keys { return keys{root: "/reprise/v1/" + cluster + "/"} }

func (k keys) cluster() string   { return k.root + "cluster" }
func (k keys) schema() string    { return k.root + "schema" }
func (k keys) documents() string { return k.root + "documents/" }
func (k keys) document(hash []byte) string {
	return k.documents() + hex.EncodeToString(hash)
}
func (k keys) name(name string) string { return k.root + "names/" + name }
func (k keys) node(n id.Node) string   { return fmt.Sprintf("%snodes/%08x", k.root, uint32(n)) }
func (k keys) nodes() string           { return k.root + "nodes/" }
func (k keys) generation(n id.Node) string {
	return fmt.Sprintf("%sgenerations/%08x", k.root, uint32(n))
}
func (k keys) generations() string         { return k.root + "generations/" }
func (k keys) presence(n id.Node) string   { return fmt.Sprintf("%spresence/%08x", k.root, uint32(n)) }
func (k keys) presences() string           { return k.root + "presence/" }
func (k keys) epoch(p id.Partition) string { return fmt.Sprintf("%sepochs/%04x", k.root, uint16(p)) }
func (k keys) epochs() string              { return k.root + "epochs/" }
func (k keys) chain(p id.Partition) string { return fmt.Sprintf("%schains/%04x", k.root, uint16(p)) }
func (k keys) chains() string              { return k.root + "chains/" }
func (k keys) directive(p id.Partition) string {
	return fmt.Sprintf("%sdirectives/%04x", k.root, uint16(p))
}
func (k keys) directives() string          { return k.root + "directives/" }
func (k keys) allPages() string            { return k.root + "pages/" }
func (k keys) pages(p id.Partition) string { return fmt.Sprintf("%spages/%04x/", k.root, uint16(p)) }
func (k keys) page(p id.Partition, n uint32) string {
	return fmt.Sprintf("%s%08x", k.pages(p), n)
}

// number parses the number that ends a key below prefix.
func number(key, prefix string, bits int) (uint64, bool) {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok || len(rest) != bits/4 {
		return 0, false
	}
	n, err := strconv.ParseUint(rest, 16, bits)
	return n, err == nil
}

func decimal(n uint32) []byte { return strconv.AppendUint(nil, uint64(n), 10) }

func parseDecimal(b []byte) (uint32, error) {
	n, err := strconv.ParseUint(string(b), 10, 32)
	return uint32(n), err
}
