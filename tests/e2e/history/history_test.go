package history

import (
	"strings"
	"testing"
	"time"
)

// at makes a record that adds to account a, sent and answered at these seconds (answered 0: never).
func at(op string, sent, answered, value int) Record {
	r := Record{Op: op, Kind: "add", Effects: []Effect{{"a", op}}, Start: time.Unix(int64(sent), 0), Value: value}
	if answered > 0 {
		r.End = time.Unix(int64(answered), 0)
	}
	return r
}

func TestCheckFindsEachFault(t *testing.T) {
	account := func(total int, marks ...string) map[string]Account {
		a := Account{Total: total, Marks: map[string]int{}}
		for _, m := range marks {
			a.Marks[m]++
		}
		return map[string]Account{"a": a}
	}
	for _, row := range []struct {
		name     string
		records  []Record
		accounts map[string]Account
		want     string // part of the only fault; empty if there is none
	}{
		{"good", []Record{at("x", 1, 2, 1), at("y", 3, 4, 2)}, account(2, "x", "y"), ""},
		{"concurrent in either order", []Record{at("x", 1, 4, 2), at("y", 2, 3, 1)}, account(2, "x", "y"), ""},
		{"unanswered and done", []Record{at("x", 1, 0, 0)}, account(1, "x"), ""},
		{"unanswered and not done", []Record{at("x", 1, 0, 0)}, account(0), ""},
		{"lost", []Record{at("x", 1, 2, 1), at("y", 3, 4, 2)}, account(1, "x"), "lost: y"},
		{"lost, with its account", []Record{at("x", 1, 2, 0)}, nil, "lost: x"},
		{"doubled", []Record{at("x", 1, 2, 1)}, account(2, "x", "x"), "doubled: x"},
		{"unanswered and doubled", []Record{at("x", 1, 0, 0)}, account(2, "x", "x"), "doubled: x"},
		{"same value", []Record{at("x", 1, 2, 1), at("y", 3, 4, 1)}, account(2, "x", "y"), "both saw a become 1"},
		{"backwards", []Record{at("x", 1, 2, 2), at("y", 3, 4, 1)}, account(2, "x", "y"), "out of order: x"},
		{"backwards, others between", []Record{at("x", 1, 2, 3), at("z", 1, 9, 2), at("y", 3, 4, 1)}, account(3, "x", "y", "z"), "out of order: x"},
		{"invented", nil, account(1, "x"), "invented"},
		{"torn", []Record{at("x", 1, 2, 1)}, account(2, "x"), "torn"},
	} {
		faults := Check(row.records, row.accounts)
		if row.want == "" && len(faults) > 0 || row.want != "" && (len(faults) != 1 || !strings.Contains(faults[0], row.want)) {
			t.Errorf("%s: faults %q, want %q", row.name, faults, row.want)
		}
	}
}
