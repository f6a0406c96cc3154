package differential

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"reprise/tests/e2e/harness"
)

// TestDifferential makes the same calls to both servers. Each difference is either known, with a reason, or a
// failure; and so is one that is known and does not show.
func TestDifferential(t *testing.T) {
	ref, our := reference(t), ours(t)
	ports := harness.NewPorts(os.Getpid())
	servers := []*server{start(t, "reference", ref, ports), start(t, "ours", our, ports)}
	uris := endpoints(t)
	for _, s := range servers {
		for name, uri := range uris {
			s.vars[name] = uri
		}
	}
	unexplained, shown := 0, make([]bool, len(knownDifferences))
	steps := script()
	for i, st := range steps {
		var answers [2]answer
		var errs [2]error
		var both sync.WaitGroup
		for n, s := range servers {
			both.Go(func() { answers[n], errs[n] = s.run(t, st) })
		}
		both.Wait()
		name := fmt.Sprintf("%s %s %.300s", st.method, st.path, st.body)
		for n, err := range errs {
			if err != nil {
				t.Fatalf("step %d, %s: %s: %v", i, name, servers[n].name, err)
			}
		}
		if st.ingress {
			continue
		}
		for _, d := range differences(answers[0], answers[1]) {
			if !explained(name, d, shown) {
				unexplained++
				t.Errorf("%s\n    %s", name, d)
			}
		}
	}
	for i, k := range knownDifferences {
		if !shown[i] {
			t.Errorf("no difference %q of %q any more: take it off the list", k.difference, k.step)
		}
	}
	t.Logf("%d calls, %d differences without a reason", len(steps), unexplained)
}

func explained(step, difference string, shown []bool) bool {
	for i, k := range knownDifferences {
		if regexp.MustCompile(k.step).MatchString(step) && regexp.MustCompile(k.difference).MatchString(difference) {
			shown[i] = true
			return true
		}
	}
	return false
}

// run makes a call.
func (s *server) run(t *testing.T, st step) (answer, error) {
	if st.await != "" {
		invocation, want, _ := strings.Cut(st.await, "=")
		if err := s.await(t.Context(), s.vars[invocation], want); err != nil {
			return answer{}, err
		}
	}
	base := s.form.Admin
	if st.ingress {
		base = s.form.Ingress
	}
	req, err := http.NewRequestWithContext(t.Context(), st.method, base+s.fill(st.path), strings.NewReader(s.fill(st.body)))
	if err != nil {
		return answer{}, err
	}
	if st.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept-Encoding", "identity")
	for name, value := range st.header {
		req.Header.Set(name, value)
		if value == "" {
			req.Header.Del(name)
		}
	}
	res, err := http.DefaultTransport.RoundTrip(req) // no client: it would follow redirects
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	if st.ingress && res.StatusCode > http.StatusAccepted {
		return answer{}, fmt.Errorf("the ingress answers %d: %s", res.StatusCode, body)
	}
	if name, field, ok := strings.Cut(st.save, "="); ok {
		var fields map[string]any
		if err := json.Unmarshal(body, &fields); err != nil {
			return answer{}, fmt.Errorf("%w: %s", err, body)
		}
		value, isText := fields[field].(string)
		if !isText {
			return answer{}, fmt.Errorf("%s is not in %d %s", field, res.StatusCode, body)
		}
		s.vars[name] = value
	}
	return newAnswer(res.StatusCode, res.Header, body), nil
}
