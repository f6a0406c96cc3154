package grid_test

import (
	"testing"

	"reprise/services/internal/grid"
)

func TestTable(t *testing.T) {
	x := grid.Table{Header: []string{"", "NAME", "SERVICES"}}
	x.Add("[public]", "ä", "- A [1]\n- B [20]")
	x.Add("", "longer")
	for style, want := range map[grid.Style]string{
		grid.Compact: "           NAME    SERVICES \n [public]  ä       - A [1]  \n                   - B [20] \n           longer           \n",
		grid.Borders: "╭──────────┬────────┬──────────╮\n│          ┆ NAME   ┆ SERVICES │\n╞══════════╪════════╪══════════╡\n" +
			"│ [public] ┆ ä      ┆ - A [1]  │\n│          ┆        ┆ - B [20] │\n├╌╌╌╌╌╌╌╌╌╌┼╌╌╌╌╌╌╌╌┼╌╌╌╌╌╌╌╌╌╌┤\n│          ┆ longer ┆          │\n╰──────────┴────────┴──────────╯\n",
	} {
		if got := x.Draw(style); got != want {
			t.Errorf("style %d:\n%s\nwant:\n%s", style, got, want)
		}
	}
}

// What colours a cell takes no room.
func TestTableOfColours(t *testing.T) {
	x := grid.Table{}
	x.Add("\x1b[32mok\x1b[0m", "a")
	x.Add("longer", "b")
	if got, want := x.Draw(grid.Compact), " \x1b[32mok\x1b[0m      a \n longer  b \n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
