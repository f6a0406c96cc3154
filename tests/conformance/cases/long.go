package cases

import (
	"fmt"
	"strings"

	"reprise/tests/conformance/harness"
	"reprise/tests/conformance/probe"
	"reprise/tests/conformance/services"
)

func init() {
	add("long",
		Case{
			Name: "journal-of-1000", Desc: "Write 1000 steps, fail in the middle, replay and finish.",
			Expect: "the right sum; no step runs twice",
			Run: func(t *T) {
				p := t.Key("long")
				var sum int
				r := t.Call("/SuspEffects/long", services.Steps{Probe: p, N: 1000}, &sum)
				t.Eq(sum, 1000*999/2, "sum")
				t.Ran(probe.Hits(p), 1000, "executions of steps")
				id := r.Header.Get("x-restate-id")
				t.WaitStatus(id, "completed")
				rows := t.SQL("SELECT count(*) AS n FROM sys_journal WHERE id = %s", harness.Quote(id))
				if n := rows[0].Num("n"); n < 2000 {
					t.Fatalf("the journal has %v entries", n)
				}
			},
		},
		Case{
			Name: "program-of-300", Desc: "Run 300 mixed commands on one key over request-response.",
			Expect: "all results, in order",
			Run: func(t *T) {
				var prog []any
				for i := range 150 {
					prog = append(prog, j("op", "set", "key", "v", "value", fmt.Sprint(i)), j("op", "get", "key", "v"))
				}
				k := t.Key("p")
				var s string
				t.Call("/RrInterpreter/"+k+"/interpret", prog, &s)
				t.Eq(s, "149", "last result")
				var res []string
				t.Call("/RrInterpreter/"+k+"/results", nil, &res)
				t.Eq(len(res), 300, "results")
			},
		},
		Case{
			Name: "replay-with-large-entries", Desc: "Suspend and replay a journal of 20 steps of 256 KiB each.",
			Expect: "nothing is lost",
			Run: func(t *T) {
				var prog []any
				v := strings.Repeat("q", 256<<10)
				for range 20 {
					prog = append(prog, j("op", "set", "key", "v", "value", v), j("op", "sleep", "ms", 1))
				}
				prog = append(prog, j("op", "sleep", "ms", 200), j("op", "get", "key", "v"))
				var s string
				t.Call("/SuspInterpreter/"+t.Key("big")+"/interpret", prog, &s)
				t.Eq(len(s), 256<<10, "length")
			},
		},
	)
}
