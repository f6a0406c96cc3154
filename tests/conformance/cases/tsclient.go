package cases

func init() {
	// What these do is written in typescript/client.ts, under the same names.
	for _, c := range []Case{
		{Name: "call", Desc: "Call a service and an object, typed and generic.", Expect: "the handlers' values"},
		{Name: "no-input-no-output", Desc: "Call handlers without input and without output.", Expect: "nothing is sent, and undefined is answered"},
		{Name: "headers-and-bytes", Desc: "Send custom headers, and bytes with a binary serde.", Expect: "the handler sees the headers; the same bytes come back"},
		{Name: "keys-escaped", Desc: "Use object keys with slashes, spaces, percent signs and non-ASCII letters.", Expect: "each key is an object of its own"},
		{Name: "concurrent-and-large", Desc: "Do 100 calls at once, and one with 2 MiB.", Expect: "each gets its own answer"},
		{Name: "send", Desc: "Send four requests to one key, then call it.", Expect: "Accepted with an id inv_...; they run in order before the call"},
		{Name: "send-delayed", Desc: "Send with a delay of 700 ms and ask for the result.", Expect: "the result, not before that time"},
		{Name: "idempotent-call", Desc: "Call twice with one idempotency key and different input.", Expect: "one execution, the first result both times"},
		{Name: "idempotent-send-and-result", Desc: "Send twice with one idempotency key and ask for the results.", Expect: "Accepted, then PreviouslyAccepted with the same id; one result"},
		{Name: "client-gives-up", Desc: "Give up a call with an idempotency key after 300 ms, and repeat it.", Expect: "the client's timeout; the invocation goes on, and the repeated call gets its result"},
		{Name: "errors", Desc: "Call failing, unknown and private handlers, and one with the wrong content type.", Expect: "an HttpCallError with the status and the message"},
		{Name: "result-of-a-failure", Desc: "Ask for the result of a send that ended with a terminal error.", Expect: "an HttpCallError with that status and message"},
		{Name: "awakeable-resolve", Desc: "Resolve an awakeable with a value.", Expect: "the waiting handler gets it"},
		{Name: "awakeable-resolve-bytes", Desc: "Resolve an awakeable with bytes that are no text.", Expect: "the waiting handler gets the same bytes"},
		{Name: "awakeable-reject", Desc: "Reject an awakeable with a reason.", Expect: "the waiting handler ends with it, status 500"},
		{Name: "awakeable-bad-id", Desc: "Resolve and reject an awakeable id that is malformed.", Expect: "400 both times"},
		{Name: "workflow-submit-and-attach", Desc: "Submit a workflow, attach to it, submit and run it again.", Expect: "Accepted and its value by attach, output and result; then PreviouslyAccepted with the same id, and 409"},
		{Name: "workflow-submit-delayed", Desc: "Submit a workflow with a delay of 500 ms.", Expect: "its value, not before that time"},
		{Name: "workflow-output", Desc: "Ask for the output of a workflow before it was submitted, while it waits for a promise, and after.", Expect: "404, not ready, then the value; its shared handlers answer after the end"},
		{Name: "workflow-failure", Desc: "Submit a workflow that ends with a terminal error.", Expect: "attach, output and result fail with its status and message"},
	} {
		c.Run = func(t *T) { t.TypeScriptClient(c.Name, map[string]any{"key": t.Key("ts")}) }
		add("ts-client", c)
	}
}
