package cases

// counts are the cases that count how often user code runs, or measure when: an attempt that was cut off as a process of the
// server died runs again, as does a step whose result was not stored yet; and what backs off is tried at once by the next leader. They carry the tag, so that a run during which
// processes are killed (-while-killed) may try them again. What the others see must not differ.
var counts = map[string]bool{
	"run/executed-once":                        true,
	"run/deterministic-random":                 true,
	"suspension/abort-timeout":                 true,
	"admin/pause-retrying":                     true,
	"admin/resume-skips-backoff":               true,
	"retries/failure-shown":                    true,
	"admin/restart-as-new":                     true,
	"admin/restart-from-entry":                 true,
	"idempotency/call-joins-running":           true,
	"idempotency/same-key-same-result":         true,
	"ingress/send":                             true,
	"kill/retrying":                            true,
	"kill/running":                             true,
	"objects/exclusive-handlers-serialised":    true, // the handler of the attempt that was cut off may still be running
	"objects/retry-writes-once":                true,
	"ordering/calls-queue-in-order":            true,
	"ordering/delayed-sends-by-time":           true,
	"ordering/sends-in-order":                  true,
	"ordering/sends-of-one-handler":            true,
	"ordering/two-senders-interleave-in-order": true,
	"protocol/bidi-failures":                   true,
	"protocol/broken-endpoint":                 true,
	"protocol/http1-failures":                  true,
	"protocol/request-response-failures":       true,
	"retries/backoff-grows":                    true,
	"retries/code-does-not-stop-retries":       true,
	"retries/max-attempts-kill":                true,
	"retries/max-attempts-pause":               true,
	"retries/until-success":                    true,
	"run/parallel-steps":                       true,
	"run/result-survives-suspension":           true,
	"run/retry-exhausted":                      true,
	"run/retry-until-success":                  true,
	"run/step-before-failure-not-repeated":     true,
	"run/terminal-error":                       true,
	"services/call-with-idempotency-key":       true,
	"workflows/run-once":                       true,
}
