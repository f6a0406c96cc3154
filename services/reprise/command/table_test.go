package command

import "testing"

func TestTable(t *testing.T) {
	x := table{header: []string{"", "NAME", "SERVICES"}}
	x.add("[public]", "ä", "- A [1]\n- B [20]")
	x.add("", "longer")
	for style, want := range map[tableStyle]string{
		compact: "           NAME    SERVICES \n [public]  ä       - A [1]  \n                   - B [20] \n           longer           \n",
		borders: "╭──────────┬────────┬──────────╮\n│          ┆ NAME   ┆ SERVICES │\n╞══════════╪════════╪══════════╡\n" +
			"│ [public] ┆ ä      ┆ - A [1]  │\n│          ┆        ┆ - B [20] │\n├╌╌╌╌╌╌╌╌╌╌┼╌╌╌╌╌╌╌╌┼╌╌╌╌╌╌╌╌╌╌┤\n│          ┆ longer ┆          │\n╰──────────┴────────┴──────────╯\n",
	} {
		if got := x.draw(style); got != want {
			t.Errorf("style %d:\n%s\nwant:\n%s", style, got, want)
		}
	}
}

// What colours a cell takes no room.
func TestTableOfColours(t *testing.T) {
	r := runner{colours: true}
	x := table{}
	x.add(r.paint(green, "ok"), "a")
	x.add("longer", "b")
	if got, want := x.draw(compact), " \x1b[32mok\x1b[0m      a \n longer  b \n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
