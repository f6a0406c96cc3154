// Package e2e tests whole processes: handlers of unmodified SDKs, run by standalone and by the five daemons.
//
//	go test ./tests/e2e                        # both forms
//	go test ./tests/e2e -run Crash -kills 20   # the long crash test
//	go test ./tests/e2e -forms standalone -standalone /path/to/another/server
//	go test ./tests/e2e -run CLI -pending      # command lines, ours and Restate's, also what the server does not answer yet
package e2e
