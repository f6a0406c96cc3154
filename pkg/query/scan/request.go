package scan

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"reprise/pkg/errs"
	"reprise/pkg/id"
)

// Request says what a scan is to bring.
type Request struct {
	Table   string
	Columns []string
	Filters []Filter
	Limit   uint64 // no more rows than that are of use; 0: all are
	Top     *Top   `json:",omitempty"` // nil: rows of all values are of use
}

// Top says that of the rows that pass the filters only those with the largest or smallest values of a column are of
// use: any that is among so many, or equals one that is, and those where it is NULL. A scan may bring more.
type Top struct {
	Column     string
	Descending bool
	Rows       uint32
}

// Filter keeps the rows whose column is one of Values, or NULL; with Not, those where it is not, and then not NULL.
type Filter struct {
	Column string
	Values []string // of numbers: in decimal
	Null   bool     // in place of Values
	Not    bool
}

// shards are the columns that say in which partition a row is: how the key of a value is found, by column.
var shards = map[string]map[string]func(string) (id.PartitionKey, error){
	"sys_invocation_status":    {"id": idKey, "target_service_key": objectKey},
	"sys_invocation_state":     {"id": idKey},
	"sys_journal":              {"id": idKey},
	"sys_journal_events":       {"id": idKey},
	"sys_inbox":                {"id": idKey, "service_key": objectKey},
	"sys_keyed_service_status": {"invocation_id": idKey, "service_key": objectKey},
	"state":                    {"service_key": objectKey},
	"sys_promise":              {"service_key": objectKey},
}

// errNotAnID is told in the words of the contract.
var errNotAnID = errs.Newf(errs.Invalid, "non valid invocation id")

func idKey(text string) (id.PartitionKey, error) {
	i, err := id.ParseInvocation(text)
	if err != nil {
		return 0, errNotAnID
	}
	return i.PartitionKey(), nil
}

func objectKey(text string) (id.PartitionKey, error) { return id.Hash(text), nil }

func numberKey(text string) (id.PartitionKey, error) {
	k, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("partition key %q: %w", text, errors.Unwrap(err))
	}
	return id.PartitionKey(k), nil
}

// Partitioned tells whether the rows of a table are in partitions.
func Partitioned(name string) bool { return shards[name] != nil }

// ShardIDs tells whether a column of a table holds ids that must be well formed when rows are asked for by them.
func ShardIDs(table, column string) bool {
	return column == "id" && shards[table]["id"] != nil || column == "invocation_id" && shards[table]["invocation_id"] != nil
}

// CheckID refuses what is no id of an invocation.
func CheckID(text string) error {
	_, err := idKey(text)
	return err
}

// Partitions are those that can have rows for r, of n, ascending.
func (r *Request) Partitions(n uint32) ([]id.Partition, error) {
	var wanted []bool // nil: all
	for _, f := range r.Filters {
		key := shards[r.Table][f.Column]
		if f.Column == "partition_key" {
			key = numberKey
		}
		if key == nil || f.Not || f.Null {
			continue
		}
		here := make([]bool, n)
		for _, v := range f.Values {
			k, err := key(v)
			if err != nil {
				return nil, err
			}
			p := id.PartitionOf(k, n)
			here[p] = wanted == nil || wanted[p]
		}
		wanted = here
	}
	out := make([]id.Partition, 0, n)
	for p := range n {
		if wanted == nil || wanted[p] {
			out = append(out, id.Partition(p))
		}
	}
	return out, nil
}

// IDs returns the invocations that a request asks for by a column; nil if it asks for all. The ones that are of
// other partitions than p of n are left out.
func (r *Request) IDs(column string, p id.Partition, n uint32) []id.Invocation {
	at := slices.IndexFunc(r.Filters, func(f Filter) bool { return f.Column == column && !f.Not && !f.Null })
	if at < 0 {
		return nil
	}
	out := make([]id.Invocation, 0, len(r.Filters[at].Values))
	seen := make(map[id.Invocation]bool, len(r.Filters[at].Values))
	for _, v := range r.Filters[at].Values {
		i, err := id.ParseInvocation(v)
		if err != nil || seen[i] || n > 0 && id.PartitionOf(i.PartitionKey(), n) != p {
			continue // what is malformed was refused when the partitions were chosen
		}
		seen[i] = true
		out = append(out, i)
	}
	return out
}

// Only returns the value that a column must have, if there is one only.
func (r *Request) Only(column string) (value string, ok bool) {
	for _, f := range r.Filters {
		if f.Column == column && !f.Not && !f.Null && len(f.Values) == 1 {
			return f.Values[0], true
		}
	}
	return "", false
}

// Admits tells whether a row with that value of a column can be wanted.
func (r *Request) Admits(column, value string) bool {
	for _, f := range r.Filters {
		if f.Column == column && (f.Null && !f.Not || !f.Null && slices.Contains(f.Values, value) == f.Not) {
			return false
		}
	}
	return true
}

// Used are the columns that are wanted, or filtered by.
func (r *Request) Used() []string {
	used := slices.Clone(r.Columns)
	if r.Top != nil {
		used = append(used, r.Top.Column)
	}
	for _, f := range r.Filters {
		used = append(used, f.Column)
	}
	return used
}

// Wants tells whether any of the columns is wanted, or filtered by.
func (r *Request) Wants(columns ...string) bool {
	for _, c := range columns {
		if slices.Contains(r.Columns, c) || r.Top != nil && r.Top.Column == c || slices.ContainsFunc(r.Filters, func(f Filter) bool { return f.Column == c }) {
			return true
		}
	}
	return false
}

// Batch is some rows as an Arrow IPC stream: schema, one record batch, end. One without rows says that the scan goes on.
type Batch struct {
	Rows int
	Data []byte
}
