package harness

import (
	"errors"
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// options are the command line.
type options struct {
	ingress, admin, bind, advertise string
	run, skip, skipTags             string
	jsonOut                         string
	list, markdown, verbose, keep   bool
	whileKilled                     bool
	parallel                        int
	timeout                         time.Duration
	patience                        float64
	srvCmd, srvDir                  string
	typescript                      string
	setup                           Setup
}

func parseFlags() (options, error) {
	var o options
	var mode, versions string
	flag.StringVar(&o.ingress, "ingress", "http://127.0.0.1:8080", "address of the ingress of the server under test")
	flag.StringVar(&o.admin, "admin", "http://127.0.0.1:9070", "address of its admin API")
	flag.StringVar(&o.setup.SDK, "sdk", GoSDK, "serve the suite's services with this SDK: go or typescript")
	flag.StringVar(&mode, "mode", Bidi.String(), "serve them this way: bidi, request-response or http1")
	flag.StringVar(&versions, "protocol-versions", Known.String(), "range of service protocol versions that they show in discovery, MIN-MAX")
	flag.StringVar(&o.typescript, "typescript", "typescript", "folder of the TypeScript services and clients")
	flag.StringVar(&o.bind, "service-uri-bind", "127.0.0.1:0", "host:port where the main service endpoint listens (port 0: a free one); further endpoints take free ports of the same host")
	flag.StringVar(&o.advertise, "service-uri-advertise", "", "scheme://host under which the server reaches the endpoints (default: the bind address)")
	flag.StringVar(&o.run, "run", "", "run only the cases whose group/name matches this regular expression")
	flag.StringVar(&o.skip, "skip", "", "leave out the cases whose group/name matches this regular expression")
	flag.StringVar(&o.skipTags, "skip-tags", "", "leave out the cases with one of these tags (comma separated)")
	flag.StringVar(&o.jsonOut, "json", "", "write the results to this file as JSON")
	flag.BoolVar(&o.list, "list", false, "list the cases and end")
	flag.BoolVar(&o.markdown, "markdown", false, "with -list: as a Markdown table with the expected behaviour")
	flag.IntVar(&o.parallel, "parallel", 8, "how many cases run at once")
	flag.DurationVar(&o.timeout, "timeout", 90*time.Second, "time limit of one case that names none")
	flag.Float64Var(&o.patience, "patience", 1, "factor on all time limits, for slow machines")
	flag.StringVar(&o.srvCmd, "server-cmd", "", "start the server under test with this shell command ({dir} stands for -server-dir); needed by the crash cases")
	flag.StringVar(&o.srvDir, "server-dir", "", "directory for the started server (default: a temporary one)")
	flag.BoolVar(&o.whileKilled, "while-killed", false, "processes of the server are killed meanwhile: a case that counts how often user code runs may be tried again, twice")
	flag.BoolVar(&o.verbose, "v", false, "print each case as it ends")
	flag.BoolVar(&o.keep, "keep", false, "leave the suite's invocations and deployments on the server")
	flag.Parse()
	var errs []error
	if flag.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q", flag.Arg(0)))
	}
	if o.setup.SDK != GoSDK && o.setup.SDK != TypeScriptSDK {
		errs = append(errs, fmt.Errorf("unknown SDK %q: go or typescript", o.setup.SDK))
	}
	var err1, err2 error
	o.setup.Mode, err1 = ParseMode(mode)
	o.setup.Versions, err2 = ParseVersions(versions)
	return o, errors.Join(append(errs, err1, err2)...)
}

// choose returns the cases that the command line asks for.
func (o options) choose(all []Case) ([]Case, error) {
	want, err1 := regexp.Compile(o.run)
	not, err2 := regexp.Compile(o.skip)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var cases []Case
	for _, c := range all {
		if seen[c.ID()] {
			return nil, fmt.Errorf("two cases are named %s", c.ID())
		}
		seen[c.ID()] = true
		tagged := slices.ContainsFunc(strings.Split(o.skipTags, ","), func(tag string) bool { return tag != "" && c.has(tag) })
		if want.MatchString(c.ID()) && (o.skip == "" || !not.MatchString(c.ID())) && !tagged {
			cases = append(cases, c)
		}
	}
	return cases, nil
}
