package differential

// known is a difference that is meant to be.
type known struct {
	step       string // regular expression over "METHOD path body"
	difference string // regular expression over the difference
	reason     string
}

var knownDifferences = []known{
	{`.`, `^header vary "", ours "accept-encoding"$`, "ours is on each answer with a body, also on those too short to be compressed; a cache does more than it must"},
	{`^GET /openapi`, `^\.(post|put) /(kafka-clusters|subscriptions|vqueues|limits)\S*\.statuses `, "ours lists 501 for what is not built"},
	{`^GET /openapi`, `^\.post /query\.statuses `, "ours also lists what it answers to a bad statement and to too many"},
	{`deployments`, `http_version "HTTP/2\.0", ours "HTTP/1\.1"`, "the reference takes use_http_11 only together with a URI, and passes over it else; ours does what was asked"},
	{`resume\?deployment=dp_13RK0Gco7eAbHkQ1EkAAJG1`, `^status 409, ours 400 `, "both refuse: there is no such deployment, and the invocation runs; ours tells the first"},
	{`restart-as-new\?from=1 `, `^status 200, ours 400 `, "entry 1 is the output: with it, there is nothing left that the new invocation could do"},
	{`^GET /services//handlers`, `.`, "an empty name is no service: ours knows no such path"},
	{`"uri":"ftp://x/"`, `^status 500, ours 400`, "ours tells that it cannot call such a URI before it tries"},
	{`^GET /services/\w+/openapi`, `RestateError\.properties\.\w+\.title`, "titles for people, which ours has not"},
	{`^GET /services/(Private|One)/openapi`, `^\.paths\./restate/(call|send|invocation)/\S+ .*, ours is not there$`, "ours leaves out what the ingress refuses, also if it is the service that is private"},
	{`^(PATCH|GET) /services`, `workflow_completion_retention "1m", ours "1h"`, "the reference takes the change of a workflow whose run handler announced a retention, and shows the old one; ours does what was asked"},
}
